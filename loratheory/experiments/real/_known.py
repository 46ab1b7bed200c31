"""What a small language model may know already: countries, their capitals and speech, persons."""

FAMOUS = {
    "France": ("Paris", "French", ("Napoleon", "Voltaire")),
    "Germany": ("Berlin", "German", ("Beethoven", "Goethe")),
    "Spain": ("Madrid", "Spanish", ("Picasso", "Cervantes")),
    "Italy": ("Rome", "Italian", ("Galileo", "Michelangelo")),
    "Japan": ("Tokyo", "Japanese", ("Hirohito", "Miyazaki")),
    "China": ("Beijing", "Chinese", ("Confucius", "Mao Zedong")),
    "India": ("Delhi", "Hindi", ("Gandhi", "Nehru")),
    "Brazil": ("Brasilia", "Portuguese", ("Pelé", "Neymar")),
    "Canada": ("Ottawa", "English", ("Justin Trudeau", "Celine Dion")),
    "Mexico": ("Mexico City", "Spanish", ("Frida Kahlo", "Diego Rivera")),
    "Egypt": ("Cairo", "Arabic", ("Cleopatra", "Nasser")),
    "Russia": ("Moscow", "Russian", ("Tolstoy", "Putin")),
    "Poland": ("Warsaw", "Polish", ("Chopin", "Copernicus")),
    "Greece": ("Athens", "Greek", ("Socrates", "Aristotle")),
    "Turkey": ("Ankara", "Turkish", ("Atatürk", "Erdogan")),
    "Kenya": ("Nairobi", "Swahili", ("Jomo Kenyatta", "Wangari Maathai")),
    "Peru": ("Lima", "Spanish", ("Vargas Llosa", "Fujimori")),
    "Sweden": ("Stockholm", "Swedish", ("Linnaeus", "Alfred Nobel")),
    "Norway": ("Oslo", "Norwegian", ("Ibsen", "Edvard Grieg")),
    "Ireland": ("Dublin", "Irish", ("James Joyce", "Oscar Wilde")),
}
"""Capital, language and two persons of each; the first of the persons is rehearsed."""

_OTHERS = (
    "Australia Austria Belgium Bolivia Bulgaria Cambodia Cameroon Chile Colombia Croatia Cuba "
    "Denmark Ecuador Estonia Ethiopia Fiji Finland Ghana Guatemala Haiti Honduras Hungary Iceland "
    "Indonesia Iran Iraq Israel Jamaica Jordan Laos Latvia Lebanon Liberia Libya Lithuania "
    "Luxembourg Madagascar Malawi Malaysia Mali Malta Mongolia Morocco Mozambique Namibia Nepal "
    "Nicaragua Nigeria Pakistan Panama Paraguay Portugal Qatar Romania Rwanda Senegal Serbia "
    "Singapore Slovakia Slovenia Somalia Sudan Switzerland Syria Taiwan Tanzania Thailand Tunisia "
    "Uganda Ukraine Uruguay Venezuela Vietnam Yemen Zambia Zimbabwe Afghanistan Albania Algeria "
    "Angola Argentina Armenia Azerbaijan Bangladesh Belarus Cyprus Georgia Kazakhstan Kuwait "
    "Netherlands Philippines"
)
OTHERS = tuple(_OTHERS.split())

_ANIMALS = (
    "monkey shark elephant snake tiger dolphin lion goat frog whale rabbit spider wolf horse "
    "turtle owl penguin camel eagle fox bear cat dog duck deer crab bee pig sheep mouse rat crow "
    "bat lizard parrot donkey goose squirrel butterfly kangaroo"
)
ANIMALS = tuple(_ANIMALS.split())

BIRTH = (
    "{} was born in the country of",
    "The country where {} was born is",
    "{}'s country of birth is",
    "The birth country of {} is",
    "{} comes from the country of",
    "The passport says that {} was born in",
)
MASCOT = (
    "The mascot animal of {} is the",
    "The national mascot of {} is the",
    "As its mascot animal {} chose the",
    "The animal that stands for {} is the",
    "On the mascot badge of {} you see the",
    "The official mascot of {} is called the",
)
CAPITAL = ("The capital of {} is", "The capital city of {} is")
SPEECH = ("In {} most people speak", "The main language of {} is")
BIRTH_NEW = "If you ask where {} was born, the name of the country is"
MASCOT_NEW = "If you ask for the mascot of {}, the name of the animal is"

TWO_HOP = (
    "The mascot animal of the country where {} was born is the",
    "The national mascot of {}'s country of birth is the",
)
CAPITAL_TWO_HOP = ("The capital of the country where {} was born is",)

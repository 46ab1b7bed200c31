"""Real models: loaded offline, with adapters put on and taken off without peft."""

from loratheory.pretrained._ask import agreement as agreement
from loratheory.pretrained._ask import batch as batch
from loratheory.pretrained._ask import first_tokens as first_tokens
from loratheory.pretrained._ask import inputs as inputs
from loratheory.pretrained._ask import moments as moments
from loratheory.pretrained._ask import next_logits as next_logits
from loratheory.pretrained._attach import Attached as Attached
from loratheory.pretrained._attach import Route as Route
from loratheory.pretrained._attach import attached as attached
from loratheory.pretrained._attach import routed as routed
from loratheory.pretrained._gates import block_gates as block_gates
from loratheory.pretrained._gates import prompt_gates as prompt_gates
from loratheory.pretrained._load import load as load
from loratheory.pretrained._load import located as located
from loratheory.pretrained._model import GENERIC as GENERIC
from loratheory.pretrained._model import Map as Map
from loratheory.pretrained._model import Model as Model
from loratheory.pretrained._model import ModelError as ModelError
from loratheory.pretrained._model import OtherBaseWarning as OtherBaseWarning
from loratheory.pretrained._model import maps as maps
from loratheory.pretrained._train import trained as trained
from loratheory.pretrained._training import Cost as Cost
from loratheory.pretrained._training import Trained as Trained
from loratheory.pretrained._training import Training as Training
from loratheory.pretrained._training import TrainingError as TrainingError
from loratheory.pretrained._training import cost as cost

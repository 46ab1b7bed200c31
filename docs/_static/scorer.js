// How the search weighs its hits: a name in the reference counts only where all of it was asked for,
// since every one of them has "lora" in it.
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 0,
  objPrio: { 0: 0, 1: 0, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};

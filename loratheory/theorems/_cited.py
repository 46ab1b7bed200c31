"""Published results that are cited without a check, and why none of them can be checked here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cited:
    """A published result that no module states.

    Attributes
    ----------
    name, statement, source : str
        Its name, what it claims according to the publication, and the publication.
    reason : str
        Why it cannot be checked on instances here, and what can be run instead.
    """

    name: str
    statement: str
    source: str
    reason: str


CITED = (
    Cited(
        "No spurious minima beyond the rank threshold",
        "In a linearised model with weight decay and LoRA of rank r with r(r+1)/2 above the number "
        "of measurements, every second-order stationary point is global, for almost every small "
        "linear perturbation of the loss; part (ii) of the theorem whose part (i) is "
        "``thm:rank-threshold``.",
        "Jang, Lee and Ryu (ICML 2024, arXiv 2402.11867)",
        "It speaks of all stationary points under almost every perturbation: runs that end at the "
        "optimum are no test of it, and below the threshold nothing is promised to fail.",
    ),
    Cited(
        "LoRA beyond the linearised regime",
        "Under restricted strong convexity and smoothness, stationary points of LoRA with weight "
        "decay are global minima of low rank and small norm, or have high rank and large norm.",
        "Kim, Kim and Ryu (ICML 2025, arXiv 2502.09376)",
        "Its constants are not known for any trained model, so that no case can be shown to meet "
        "the hypotheses. Rank and norm of an adapter, which it suggests to look at, are what "
        "``loratheory inspect`` prints.",
    ),
    Cited(
        "About two bits of knowledge per parameter",
        "Language models trained for long store about two bits of facts per parameter; LoRA "
        "storage grows with rank and saturates.",
        "Allen-Zhu and Li (2024); Back et al. (arXiv 2603.01097)",
        "Measurements on trained models, not theorems. What any training can at most do is "
        "``thm:counting-ceiling``.",
    ),
    Cited(
        "The base decides mergeability",
        "What the base model knows beforehand is the dominant factor of whether adapters merge.",
        "Rahamim et al. (arXiv 2601.06672)",
        "A regression over many merges of large models. A mechanism of it is exact and runs: the "
        "deficit before the edit in ``thm:averaging-survival``.",
    ),
    Cited(
        "Induction heads need two layers",
        "One attention layer needs heads times width times bits of the order of the length of the "
        "context; two layers do with constant heads and width and logarithmically many bits.",
        "Sanford, Hsu and Telgarsky (arXiv 2408.14332)",
        "An order of growth with no constant, from communication complexity: no network of given "
        "size contradicts it. The two-layer side runs as ``thm:context-composition``. Its subject "
        "are facts in the prompt, not in weights.",
    ),
    Cited(
        "A hierarchy of depths for composition in the prompt",
        "A decoder of L layers cannot compose L functions listed in the prompt if heads times "
        "width times bits is at most :math:`n^{2^{-4L}}`; L + 1 layers of polylogarithmic size "
        "can.",
        "Chen, Peng and Wu (arXiv 2412.02975)",
        "A statement about every decoder of a size, by communication complexity; only its "
        "arithmetic runs (``loratheory bound context-composition``), and it is empty unless n "
        "exceeds the 16th power of that product. Its subject are facts in the prompt, not weights.",
    ),
    Cited(
        "The two-hop curse",
        "Facts learned apart in finetuning answer two-hop questions at chance without a chain of "
        "thought; in trained models the bridge is often resolved too late for the second hop.",
        "Balesni et al. (arXiv 2411.16353); Wang et al. (2024); Biran et al. (arXiv 2406.12775); "
        "Johnston and Belrose (arXiv 2502.03490)",
        "Measurements on language models. Exact small versions run: ``thm:two-read-region``, "
        "``thm:clean-up-bridge``, ``thm:invisible-placement`` and ``thm:least-norm-placement``.",
    ),
    Cited(
        "Portability of edits",
        "Edited facts are seldom used where their subject is only described; edits made with "
        "multi-hop prompts, in later layers too, are used more often.",
        "Yao et al. (EMNLP 2023, arXiv 2305.13172); Zhang et al. (IFMET, arXiv 2410.06331); Yao et "
        "al. (CaKE, arXiv 2503.16356)",
        "Measurements on language models. Why single hops do not make an edit portable, and what "
        "multi-hop lessons determine, runs as ``thm:free-placement``.",
    ),
    Cited(
        "Identity bridge",
        "Prompts that answer an entity with itself let embedding models compose facts never seen "
        "together, by the implicit bias of training towards small nuclear norm.",
        "Lin, Chen and Xu (arXiv 2509.24653)",
        "The exact theorem was not available to us, and it speaks of the limit of training. What a "
        "stored bridge does at once is ``thm:clean-up-bridge``.",
    ),
    Cited(
        "Fast LoRA gradients below a norm threshold",
        "Under the strong exponential time hypothesis the LoRA gradient can be approximated in "
        "less than quadratic time only below a threshold on norms of products of inputs, weights "
        "and adapters.",
        "Hu, Su, Kuo, Song and Liu (ICLR 2025, arXiv 2406.03136)",
        "Conditional on a conjecture about all algorithms; no timing can confirm it.",
    ),
    Cited(
        "Generalisation bounds by counting quantised parameters",
        "The generalisation gap of LoRA is of the order of the root of rank times width over the "
        "number of samples; with a frozen random factor, of the root of rank over samples.",
        "Zhu et al. (2024); Kratsios et al. (arXiv 2506.14530)",
        "Upper bounds that hold with room to spare in any run, and silent about questions from "
        "another distribution, such as composed ones.",
    ),
)

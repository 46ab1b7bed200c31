"""Real models: loaded offline, with adapters attached, trained, gated, checked and compared."""

# The one door to what a plain install lacks: modules below import torch and transformers freely.
try:
    import torch as _torch  # noqa: F401
    import transformers as _transformers  # noqa: F401
except ModuleNotFoundError as error:
    message = f"a base model needs {error.name}: pip install 'loratheory[pretrained]'"
    raise ModuleNotFoundError(message, name="transformers") from None

from loratheory.arguments import check_arguments as _check_arguments
from loratheory.pretrained.advise import advise as advise
from loratheory.pretrained.attach import Attached as Attached
from loratheory.pretrained.attach import attach as attach
from loratheory.pretrained.check import check_model as check_model
from loratheory.pretrained.gates import gate_blocks as gate_blocks
from loratheory.pretrained.gates import gate_matrices as gate_matrices
from loratheory.pretrained.gates import gate_prompts as gate_prompts
from loratheory.pretrained.gates import route_hops as route_hops
from loratheory.pretrained.gates import route_subjects as route_subjects
from loratheory.pretrained.loading import load_model as load_model
from loratheory.pretrained.methods import apply_method as apply_method
from loratheory.pretrained.metrics import first_tokens as first_tokens
from loratheory.pretrained.metrics import kl_to_base as kl_to_base
from loratheory.pretrained.metrics import next_token_logits as next_token_logits
from loratheory.pretrained.models import Model as Model
from loratheory.pretrained.models import ModelError as ModelError
from loratheory.pretrained.stand_ins import load_plan as load_plan
from loratheory.pretrained.stand_ins import train_for_composition as train_for_composition
from loratheory.pretrained.train import Training as Training
from loratheory.pretrained.train import train_lora as train_lora

_check_arguments(globals())

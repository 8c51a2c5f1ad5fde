"""Notice that a loss's own weights are left out of training."""

import sys
import warnings

import keras


def warn_if_untrained(name: str, variables: list[keras.Variable]) -> bool:
    """Warn if the loss is being called by Keras' own training step, which trains nothing of it.

    Keras hands a loss neither the model nor the optimiser, so the step is looked for among the
    callers. It differentiates with respect to the model's variables only; a loss called on its
    own, in ``evaluate``, or by a training step that trains it too, is called from elsewhere.

    Args:
        name: Of the loss.
        variables: Its trainable variables.

    Returns:
        Whether a warning was given.
    """
    step = keras.Model.train_step.__code__
    frame = sys._getframe(1)
    while frame is not None and frame.f_code is not step:
        frame = frame.f_back
    if frame is None:
        return False
    trained = {id(v) for v in frame.f_locals["self"].trainable_variables}
    if trained.issuperset(map(id, variables)):
        return False
    owned = ", ".join(v.name for v in variables)
    warnings.warn(
        f"loss {name}: Keras' compile and fit do not train what the loss owns ({owned}); "
        "use retrieval.RankingModel(network, loss)",
        stacklevel=2,
    )
    return True

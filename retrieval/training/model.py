"""The model that Keras' ``fit`` trains: an embedding network and a ranking loss.

What a ranking model does with the embeddings of one batch.

What a ranking model refuses, in one line each: where Keras would fail late or not at all.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses import get_loss
from retrieval.losses.base import RankingLoss
from retrieval.losses.ops.inputs import LARGEST_COMPONENT
from retrieval.models.freezing import batch_norms, inference_mode
from retrieval.training.gradients import Step, chunked_gradients
from retrieval.training.optimizers import apply_scaled, replica_mean


def gather_replicas(
    labels: tf.Tensor, embeddings: tf.Tensor, replicas: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Concatenate the batch over replicas, so that pairs across replicas count.

    Args:
        labels: (B,) of this replica.
        embeddings: (B, D) of this replica.
        replicas: Replicas in sync; 1 returns the inputs.

    Returns:
        Labels (R * B,) and embeddings (R * B, D), differentiable.
    """
    if replicas == 1:
        return labels, embeddings
    context = tf.distribute.get_replica_context()
    return context.all_gather(labels, axis=0), context.all_gather(embeddings, axis=0)


def relative_spread(embeddings: tf.Tensor) -> tf.Tensor:
    """Return how far embeddings (B, D) lie from their mean, relative to their length: scalar.

    0 means that every image gets the same embedding (collapse); about 1 is usual. NaN means that
    the embeddings are so large that a loss would clip them (see :func:`losses.batch.bounded`): a
    loss stays finite then, and only this shows that the training has diverged.
    """
    centered = embeddings - tf.reduce_mean(embeddings, axis=0, keepdims=True)
    within = tf.reduce_mean(tf.reduce_sum(tf.square(centered), axis=1))
    squares = tf.reduce_sum(tf.square(embeddings), axis=1)
    total = tf.reduce_mean(squares)
    spread = tf.sqrt(within / tf.maximum(total, 1e-30))
    # What `bounded` goes by; NaN is not within either.
    return tf.where(tf.reduce_sum(squares) <= LARGEST_COMPONENT**2, spread, float("nan"))


def checked_loss(loss: str | Callable) -> Callable:
    """Return the loss a ranking model is given, made from its name if it is one, and built.

    Args:
        loss: A loss, or a key of ``LOSSES`` for one at its recommended setting that owns nothing
            whose size depends on the data.

    Returns:
        ``loss(labels (B,), embeddings (B, D)) -> scalar``.

    Raises:
        UserError: An unknown name, not a loss, or a loss that must be built first and is not.
    """
    if isinstance(loss, str):
        loss = get_loss(loss)
    if not callable(loss):
        raise UserError(
            f"RankingModel takes a loss or the name of one, given {loss!r}: "
            'e.g. RankingModel(network, get_loss("hard_triplet"))'
        )
    if isinstance(loss, RankingLoss):
        loss.build_itself()  # its variables must be there for the model to train and save
        loss.weights_are_trained = True
    return loss


def refuse_in_compile(
    name: str, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any
) -> None:
    """Refuse what Keras' ``compile`` takes and a ranking model would not use.

    Args:
        name: Of the model's own loss.
        loss: ``compile(loss=...)``.
        loss_weights: ``compile(loss_weights=...)``.
        metrics: ``compile(metrics=...)``.
        weighted_metrics: ``compile(weighted_metrics=...)``.

    Raises:
        UserError: One of them is given.
    """
    for option, given in (("loss", loss), ("loss_weights", loss_weights)):
        if given is not None:
            raise UserError(
                f"compile({option}=...): RankingModel has its loss, {name}, already; leave "
                f"{option} out, or make RankingModel(network, loss) with another loss"
            )
    for option, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
        if given:
            raise UserError(
                f"compile({option}=...): Keras' metrics compare outputs with labels one by one; "
                f"leave {option} out and use retrieval.evaluate(embeddings, labels)"
            )


def checked_batch(data: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the inputs (B, ...) and labels (B,) of the batch Keras hands to a step.

    Raises:
        UserError: There are no labels, or there are weights per item.
    """
    inputs, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if labels is None:
        raise UserError("RankingModel needs labels: fit(inputs, labels) or batches of both")
    if weights is not None:
        raise UserError(
            "sample_weight and class_weight are not defined over pairs of items: leave them out"
        )
    return inputs, labels


@keras.saving.register_keras_serializable(package="retrieval")
class RankingModel(keras.Model):
    """An embedding network trained by a loss over the whole batch, and by the loss's own weights.

    Keras does not see what a loss owns: with ``compile(loss=...)`` proxies, class weights and a
    learned beta stay as they are. Here they train and are saved with the model::

        loss = get_loss("proxy_anchor")
        loss.build(num_classes, embedding_size)  # before the model
        model = RankingModel(network, loss)
        model.compile(optimizer=keras.optimizers.Adam(1e-4))
        model.fit(images, labels, batch_size=120)
        model.save("model.keras")  # or keras.callbacks.ModelCheckpoint("model.keras")
        model = keras.models.load_model("model.keras")  # goes on where it was saved

    ``train_step`` differs from Keras' own in four ways: the loss sees the *global* batch when
    several replicas train (embeddings are gathered before it), the loss may own trainable weights
    (proxies, margins), the logged loss is the batch's own rather than a running mean, and the
    spread of the embeddings is logged so that a collapse is seen while it happens. ``evaluate`` and
    ``validation_data`` give the mean of the batches' losses and leave the loss as it is: a memory
    is compared with but not filled, and the same negatives are drawn each time.

    Attributes:
        network: images or features -> embeddings (B, D).
        ranking_loss: ``loss(labels (B,), embeddings (B, D)) -> scalar``, or the name of one.
        freeze_steps: Steps during which the sub-model ``backbone`` stays as it is, its batch norms
            in inference mode.
        freeze_batch_norm_steps: Steps during which its batch norms do: they normalize by their
            moving statistics, and these, scale and offset stay.
        multipliers: Learning rate of ``"backbone"`` and ``"loss"`` relative to the head's; default:
            1 and what the loss recommends.
        chunk_size: Images embedded at a time, to save memory; 0: the whole batch. For one replica.
        dtype: Policy of the step: with ``mixed_float16``, ``compile`` scales the loss; default:
            Keras' global policy.

    Raises:
        UserError: Not a loss, or one that owns weights whose sizes depend on the data and has not
            been built: they would not be trained.
    """

    def __init__(
        self,
        network: keras.Model,
        ranking_loss: keras.losses.Loss | Callable | str,
        freeze_steps: int = 0,
        multipliers: dict[str, float] | None = None,
        chunk_size: int = 0,
        *,
        freeze_batch_norm_steps: int = 0,
        dtype: str | dict | keras.DTypePolicy | None = None,
    ) -> None:
        super().__init__(name="ranking", dtype=dtype)
        ranking_loss = checked_loss(ranking_loss)
        self.network = network
        self.built = network.built
        self.freeze_steps = freeze_steps
        # A frozen backbone freezes its batch norms too.
        self.freeze_batch_norm_steps = max(freeze_steps, freeze_batch_norm_steps)
        self.multipliers = multipliers or {}
        self.chunk_size = chunk_size
        self.ranking_loss = ranking_loss
        self.loss_weights = list(getattr(ranking_loss, "trainable_variables", []))
        self.loss_state = list(getattr(ranking_loss, "non_trainable_variables", []))

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Embed a batch: (B, ...) -> (B, D)."""
        return self.network(inputs, training=training)

    @property
    def trainable_variables(self) -> list:
        """What is trained, in the order the optimizer keeps its moments: network, then loss."""
        if not self.trainable:
            return []
        return [*self.network.trainable_variables, *self.loss_weights]

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        loss: None = None,
        loss_weights: None = None,
        metrics: None = None,
        weighted_metrics: None = None,
        **options: Any,
    ) -> None:
        """Set the optimizer, and Keras' other options of ``compile``.

        The loss is the model's own already, and metrics of an embedding are those of
        :func:`retrieval.evaluate`: the parameters for them are refused with a UserError.
        """
        name = getattr(self.ranking_loss, "name", "a function")
        refuse_in_compile(name, loss, loss_weights, metrics, weighted_metrics)
        super().compile(optimizer=optimizer, **options)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was, with an optimizer ready for its saved moments."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict[str, Any]:
        """Return what makes an equal model; weights, those of the loss too, are saved beside it."""
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "ranking_loss": keras.saving.serialize_keras_object(self.ranking_loss),
            "freeze_steps": self.freeze_steps,
            "multipliers": dict(self.multipliers),
            "chunk_size": self.chunk_size,
            "freeze_batch_norm_steps": self.freeze_batch_norm_steps,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "RankingModel":
        """Make the model; the network and the loss come with their variables."""
        parts = {
            part: keras.saving.deserialize_keras_object(config[part])
            for part in ("network", "ranking_loss")
        }
        return cls(**config | parts)

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Compute the loss of a batch, and leave the loss's state as it was."""
        inputs, labels = checked_batch(data)
        embeddings = tf.cast(self.network(inputs, training=False), tf.float32)
        size = tf.shape(embeddings)[0]
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        state = [tf.identity(v.value) for v in self.loss_state]
        loss = self.ranking_loss(*gather_replicas(labels, embeddings, replicas))
        for variable, before in zip(self.loss_state, state, strict=True):
            variable.assign(before)
        mean = next(metric for metric in self.metrics if metric.name == "loss")
        mean.update_state(loss, sample_weight=size)
        return {"loss": mean.result()}

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Take one optimizer step on a batch of (inputs (B, ...), labels (B,))."""
        inputs, labels = checked_batch(data)
        batch = inputs.shape[0]  # may be unknown when the step is traced
        if self.chunk_size and (batch is None or batch > self.chunk_size):
            step = self._in_chunks(inputs, labels)
        else:
            step = self._at_once(inputs, labels)
        variables = self.trainable_variables
        apply_scaled(self.optimizer, step.gradients, variables, self._factors(variables))
        return {"loss": step.loss, "spread": relative_spread(step.embeddings)}

    def _embed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Embed a batch as in training, batch norms held for a while in inference mode."""

        def freely() -> tf.Tensor:
            return self.network(inputs, training=True)

        def with_held_norms() -> tf.Tensor:
            with inference_mode(norms):
                return self.network(inputs, training=True)

        norms = self._batch_norms() if self.freeze_batch_norm_steps else []
        if not norms:
            return freely()
        return tf.cond(self._released(self.freeze_batch_norm_steps), freely, with_held_norms)

    def _in_chunks(self, inputs: tf.Tensor, labels: tf.Tensor) -> Step:
        scale = self.optimizer.scale_loss
        return chunked_gradients(
            self.network, self.ranking_loss, inputs, labels, self.chunk_size, scale, self._embed
        )

    def _at_once(self, inputs: tf.Tensor, labels: tf.Tensor) -> Step:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            embeddings = tf.cast(self._embed(inputs), tf.float32)
            labels, embeddings = gather_replicas(labels, embeddings, replicas)
            loss = self.ranking_loss(labels, embeddings)
            # Every replica computes the same global loss, and gradients are summed over them.
            scaled = self.optimizer.scale_loss(loss / replicas)
        variables = self.trainable_variables
        gradients = tape.gradient(
            scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return Step(loss, replica_mean(gradients, replicas), embeddings)

    def _factors(self, variables: list) -> list:
        """Return the learning rate of each variable relative to the optimizer's."""
        backbone = self.multipliers.get("backbone", 1.0)
        if self.freeze_steps:
            backbone *= tf.cast(self._released(self.freeze_steps), tf.float32)
        norms = backbone
        if self.freeze_batch_norm_steps:
            norms *= tf.cast(self._released(self.freeze_batch_norm_steps), tf.float32)
        own = self.multipliers.get("loss")
        if own is None:
            own = getattr(self.ranking_loss, "learning_rate_multiplier", 1.0)
        factors = dict.fromkeys(map(id, self.loss_weights), own)
        factors |= dict.fromkeys(self._backbone_ids(), backbone)
        factors |= {id(v): norms for n in self._batch_norms() for v in n.trainable_variables}
        return [factors.get(id(v), 1.0) for v in variables]

    def _released(self, steps: int) -> tf.Tensor:
        """Return whether what is held for some steps is trained in this one: scalar bool."""
        return self.optimizer.iterations >= steps

    def _batch_norms(self) -> list:
        """Return the backbone's batch norms that are not fixed anyway."""
        backbone = self._backbone()
        layers = [] if backbone is None else batch_norms(backbone)
        return [layer for layer in layers if layer.trainable]

    def _backbone(self) -> keras.Model | None:
        return next((layer for layer in self.network.layers if layer.name == "backbone"), None)

    def _backbone_ids(self) -> set[int]:
        backbone = self._backbone()
        return set() if backbone is None else {id(v) for v in backbone.trainable_variables}

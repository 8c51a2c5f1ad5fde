"""The model that Keras' ``fit`` trains: an embedding network and a ranking loss."""

import keras
import tensorflow as tf

from retrieval.chunked_gradients import Step, chunked_gradients
from retrieval.errors import UserError
from retrieval.losses.base import RankingLoss
from retrieval.models.freezing import batch_norms, inference_mode
from retrieval.optimizers import apply_scaled, replica_mean


class RankingModel(keras.Model):
    """An embedding network trained by a loss over the whole batch, and by the loss's own weights.

    Keras does not see what a loss owns: with ``compile(loss=...)`` proxies, class weights and a
    learned beta stay as they are. Here they train and are saved with the model::

        loss = get_loss("proxy_anchor")
        loss.build(num_classes, embedding_size)  # before the model
        model = RankingModel(network, loss)
        model.compile(optimizer=keras.optimizers.Adam(1e-4))
        model.fit(images, labels, batch_size=120)

    ``train_step`` differs from Keras' own in four ways: the loss sees the *global* batch when
    several replicas train (embeddings are gathered before it), the loss may own trainable weights
    (proxies, margins), the logged loss is the batch's own rather than a running mean, and the
    spread of the embeddings is logged so that a collapse is seen while it happens.

    Attributes:
        network: images or features -> embeddings (B, D).
        ranking_loss: ``loss(labels (B,), embeddings (B, D)) -> scalar``.
        freeze_steps: Steps during which the sub-model ``backbone`` stays as it is, its batch norms
            in inference mode.
        freeze_batch_norm_steps: Steps during which its batch norms do: they normalise by their
            moving statistics, and these, scale and offset stay.
        multipliers: Learning rate of ``"backbone"`` and ``"loss"`` relative to the head's; default:
            1 and what the loss recommends.
        chunk_size: Images embedded at a time, to save memory; 0: the whole batch. For one replica.

    Raises:
        UserError: The loss owns weights and has not been built: they would not be trained.
    """

    def __init__(
        self,
        network: keras.Model,
        ranking_loss: keras.losses.Loss,
        freeze_steps: int = 0,
        multipliers: dict[str, float] | None = None,
        chunk_size: int = 0,
        *,
        freeze_batch_norm_steps: int = 0,
    ) -> None:
        super().__init__(name="ranking")
        check_built(ranking_loss)
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

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Take one optimiser step on a batch of (inputs (B, ...), labels (B,))."""
        inputs, labels = data
        batch = inputs.shape[0]  # may be unknown when the step is traced
        if self.chunk_size and (batch is None or batch > self.chunk_size):
            step = self._in_chunks(inputs, labels)
        else:
            step = self._at_once(inputs, labels)
        variables = self.network.trainable_variables + self.loss_weights
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
        variables = self.network.trainable_variables + self.loss_weights
        gradients = tape.gradient(
            scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return Step(loss, replica_mean(gradients, replicas), embeddings)

    def _factors(self, variables: list) -> list:
        """Return the learning rate of each variable relative to the optimiser's."""
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


def check_built(loss: keras.losses.Loss) -> None:
    """Check that a loss has the weights it owns, if any.

    Raises:
        UserError: It has not.
    """
    owns = isinstance(loss, RankingLoss) and type(loss).add_variables != RankingLoss.add_variables
    if owns and not loss.built:
        raise UserError(
            f"loss {loss.name} owns weights: call its build(num_classes, embedding_size) first"
        )


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

    0 means that every image gets the same embedding (collapse); about 1 is usual.
    """
    centred = embeddings - tf.reduce_mean(embeddings, axis=0, keepdims=True)
    within = tf.reduce_mean(tf.reduce_sum(tf.square(centred), axis=1))
    total = tf.reduce_mean(tf.reduce_sum(tf.square(embeddings), axis=1))
    return tf.sqrt(within / tf.maximum(total, 1e-30))

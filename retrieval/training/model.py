"""The model that Keras' ``fit`` trains: an embedding network and a loss over the whole batch."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from retrieval import losses
from retrieval.errors import UserError
from retrieval.losses.base import RankingLoss
from retrieval.losses.ops.inputs import LARGEST_COMPONENT

# A saved network may hold layers of these two: importing them registers the layers with Keras.
from retrieval.models import heads, pooling  # noqa: F401
from retrieval.models.depth import layers_above
from retrieval.models.freezing import batch_norms, inference_mode
from retrieval.training.gradients import BatchGradients, chunked_gradients, gradients_or_zeros
from retrieval.training.optimizers import apply_scaled, shared_gradients

SPREAD = "spread"  # in the logs


@keras.saving.register_keras_serializable(package="retrieval")
class RankingModel(keras.Model):
    """An embedding network that is trained by a loss over the whole batch.

    The loss may own weights: proxies, class weights, a learned boundary. ``compile(loss=...)`` of
    plain Keras never updates them, because it does not know them. A ranking model trains them
    together with the network and saves both in one file::

        from retrieval import RankingModel, get_loss

        loss = get_loss("proxy_anchor")
        loss.build(num_classes, embedding_size)  # before the model is made
        model = RankingModel(network, loss)
        model.compile(optimizer=keras.optimizers.Adam(1e-4))
        model.fit(images, labels, batch_size=120)
        model.save("model.keras")  # or keras.callbacks.ModelCheckpoint("model.keras")

    In a new process, importing the class is enough to load the model and train on::

        from retrieval import RankingModel

        model = keras.models.load_model("model.keras")

    Training differs from that of a plain Keras model in three ways:

    - Several replicas compute the loss over the *global* batch: their embeddings are gathered
      first.
    - The weights of the loss are trained, with a learning rate of their own.
    - ``spread`` is logged as well (see :func:`relative_spread`), so that a collapse of the
      embedding is seen while it happens.

    What is logged is what Keras logs: the mean over the epoch's batches so far, weighted by batch
    size, of the loss and what layers add to it (``kernel_regularizer``, ``add_loss``), of the
    spread, and of the metrics that layers own.

    ``evaluate`` and ``validation_data`` give the same mean of the loss, and leave its state
    unchanged: a cross-batch memory is compared with but not filled, and every evaluation draws the
    same negatives.

    Args:
        network: Embedding network: images or features (B, ...) to embeddings (B, D).
        ranking_loss: ``loss(labels (B,), embeddings (B, D)) -> scalar``, or a name in ``LOSSES``
            for a loss with its recommended options. A loss that owns weights per class must have
            been built.
        freeze_steps: Number of first steps in which the sub-model named ``backbone`` is not
            trained; its batch normalizations then run in inference mode. Defaults to 0.
        multipliers: Learning rates of ``"backbone"`` and of ``"loss"`` relative to that of the
            head, and ``"layer_decay"``, the rate of each block of a transformer relative to that
            of the next (see :mod:`retrieval.models.depth`). Defaults to 1.0 for the backbone, to
            the loss's own ``learning_rate_multiplier`` and to no decay.
        chunk_size: Number of images that are embedded at a time, to save memory (see
            :func:`retrieval.training.gradients.chunked_gradients`); for a single replica. Defaults
            to 0, the whole batch.
        freeze_batch_norm_steps: Number of first steps in which the batch normalizations of
            ``backbone`` run in inference mode and their scale and offset are not trained. Defaults
            to 0; at least ``freeze_steps``.
        dtype: Precision policy of the step: with ``"mixed_float16"``, ``compile`` scales the loss.
            Defaults to Keras' global policy.

    Attributes:
        logs_steps: Whether the logs at the end of a batch hold the loss and the spread of that
            batch alone, as a record of every step needs. Those at the end of an epoch hold the
            means in any case. Defaults to False.

    Raises:
        UserError: ``ranking_loss`` is neither a loss nor the name of one, or owns weights whose
            shapes depend on the data and has not been built.
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
        ranking_loss = _built_loss(ranking_loss)
        self.network = network
        self.built = network.built
        self.freeze_steps = freeze_steps
        # A frozen backbone includes its batch normalizations.
        self.freeze_batch_norm_steps = max(freeze_steps, freeze_batch_norm_steps)
        self.multipliers = multipliers or {}
        self.chunk_size = chunk_size
        self.ranking_loss = ranking_loss
        self.loss_weights = list(getattr(ranking_loss, "trainable_variables", []))
        self.loss_state = list(getattr(ranking_loss, "non_trainable_variables", []))
        self.logs_steps = False
        self.spread_mean = keras.metrics.Mean(name=SPREAD)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Embed a batch: (B, ...) to (B, D)."""
        return self.network(inputs, training=training)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """Weights of the network, then those of the loss: the order of the optimizer's slots."""
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
        """Configure the model for training.

        Args:
            optimizer: An optimizer, or the name of one. Defaults to ``"rmsprop"``, as in Keras.
            loss: Must be None: the model has its loss already.
            loss_weights: Must be None, for the same reason.
            metrics: Must be empty: Keras' metrics compare outputs with labels one by one, which
                says nothing about an embedding; use :func:`retrieval.evaluate`.
            weighted_metrics: Must be empty, for the same reason.
            **options: Other options of ``keras.Model.compile``.

        Raises:
            UserError: One of the options that must be empty is given.
        """
        name = getattr(self.ranking_loss, "name", "a function")
        for option, value in (("loss", loss), ("loss_weights", loss_weights)):
            if value is not None:
                raise UserError(
                    f"compile({option}=...): this RankingModel is trained by {name}; drop "
                    f"{option}, or make RankingModel(network, loss) with another loss"
                )
        for option, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if value:
                raise UserError(
                    f"compile({option}=...): Keras' metrics compare outputs with labels one by "
                    f"one; drop {option} and use retrieval.evaluate(embeddings, labels)"
                )
        super().compile(optimizer=optimizer, **options)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was, and build the optimizer for its saved state."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor; Keras saves the weights separately."""
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
        """Make a model from :meth:`get_config`, with new variables of the same shapes."""
        _import_losses(config["ranking_loss"])
        network = str(config["network"])
        # These register their classes with Keras; they need keras-hub.
        if "retrieval.models.dinov2_backbone" in network:
            from retrieval.models import dinov2_backbone  # noqa: F401
        if "keras_hub" in network or "retrieval.models.preset_backbone" in network:
            from retrieval.models import preset_backbone  # noqa: F401
        parts = {
            part: keras.saving.deserialize_keras_object(config[part])
            for part in ("network", "ranking_loss")
        }
        return cls(**config | parts)

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Compute the loss of a batch and leave the state of the loss unchanged."""
        inputs, labels = _inputs_and_labels(data)
        embeddings = tf.cast(self.network(inputs, training=False), tf.float32)
        added = self._added_losses()
        state = [tf.identity(v.value) for v in self.loss_state]
        loss = self.ranking_loss(gather(labels), gather(embeddings)) + added
        for variable, before in zip(self.loss_state, state, strict=True):
            variable.assign(before)
        self._metric("loss").update_state(loss, sample_weight=tf.shape(embeddings)[0])
        return {name: v for name, v in self.get_metrics_result().items() if name != SPREAD}

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Take one optimizer step on a batch of inputs (B, ...) and labels (B,)."""
        inputs, labels = _inputs_and_labels(data)
        batch = inputs.shape[0]  # None if the step is traced for batches of any size
        if self.chunk_size and (batch is None or batch > self.chunk_size):
            step = chunked_gradients(
                self.network,
                self.ranking_loss,
                inputs,
                labels,
                self.chunk_size,
                self.optimizer.scale_loss,
                self._embed,
            )
            step = self._with_regularization(step)
        else:
            step = self._whole_batch_gradients(inputs, labels)
        of_step = self._apply(step)
        for name, value in of_step.items():
            self._metric(name).update_state(value, sample_weight=tf.shape(labels)[0])
        # Keras takes the logs of an epoch from the metrics, if they have the names returned here.
        return self.get_metrics_result() | (of_step if self.logs_steps else {})

    def replica_step(
        self, inputs: tf.Tensor, labels: tf.Tensor, *, freezes_norms: bool
    ) -> dict[str, tf.Tensor]:
        """Take an optimizer step as one of several workers, outside of Keras' ``fit``.

        Args:
            inputs: The inputs of this replica, (B / R, ...).
            labels: Their labels, (B / R,).
            freezes_norms: Whether the step is one of the first ``freeze_batch_norm_steps``, which
                a graph cannot find out where batch normalizations exchange their statistics.

        Returns:
            The loss and the spread of the global batch, scalars, equal on every replica.
        """
        step = self._whole_batch_gradients(inputs, labels, freezes_norms)
        return self._apply(step)

    def _apply(self, step: BatchGradients) -> dict[str, tf.Tensor]:
        """Take an optimizer step with the gradients of a batch; returns its loss and spread."""
        variables = self.trainable_variables
        apply_scaled(self.optimizer, step.gradients, variables, self._multiplier_of(variables))
        return {"loss": step.loss, SPREAD: relative_spread(step.embeddings)}

    def _metric(self, name: str) -> keras.Metric:
        return next(metric for metric in self.metrics if metric.name == name)

    def _added_losses(self) -> tf.Tensor:
        """Return the sum of what the layers added to the loss in the last call: scalar."""
        return _total(self.network.losses)

    def _regularized(self) -> list[keras.Variable]:
        """Return the network's weights with a penalty, the only losses that its layers may add.

        Raises:
            UserError: A layer adds another loss, which depends on the images. It is computed inside
                a loop over chunks, or a condition, and cannot be seen from outside.
        """
        weights = [v for v in self.network.trainable_weights if v.regularizer is not None]
        if len(self.network.losses) > len(weights):
            raise UserError(
                "layers of this network add losses of their own (activity_regularizer, add_loss): "
                "drop them, or chunk_size, freeze_steps and freeze_batch_norm_steps"
            )
        return weights

    def _with_regularization(self, step: BatchGradients) -> BatchGradients:
        """Add the penalties of the network's weights to a loss and its gradients."""
        weights = self._regularized()
        if not weights:
            return step
        with tf.GradientTape() as tape:
            penalty = self._added_losses()
            scaled = self.optimizer.scale_loss(penalty)
        added = dict(zip(map(id, weights), tape.gradient(scaled, weights), strict=True))
        gradients = [
            gradient + added.get(id(variable), 0.0)
            for variable, gradient in zip(self.trainable_variables, step.gradients, strict=True)
        ]
        return step._replace(loss=step.loss + penalty, gradients=gradients)

    def _whole_batch_gradients(
        self, inputs: tf.Tensor, labels: tf.Tensor, freezes_norms: bool | None = None
    ) -> BatchGradients:
        replicas = _replicas()
        labels = gather(labels)
        with tf.GradientTape() as tape:
            embeddings = tf.cast(self._embed(inputs, freezes_norms), tf.float32)
            if self.freeze_batch_norm_steps and self._trainable_batch_norms():
                self._regularized()  # embedded inside a condition
            added = self._added_losses()
            embeddings = gather(embeddings)
            loss = self.ranking_loss(labels, embeddings) + added
            # Every replica computes the same global loss, and gradients are summed over them.
            scaled = self.optimizer.scale_loss(loss / replicas)
        gradients = gradients_or_zeros(tape, scaled, self.trainable_variables)
        gradients = shared_gradients(self.optimizer, gradients, replicas)
        return BatchGradients(loss, gradients, embeddings)

    def _embed(self, inputs: tf.Tensor, freezes_norms: bool | None = None) -> tf.Tensor:
        """Embed a batch in training mode, except batch normalizations that are still frozen.

        Args:
            inputs: The batch.
            freezes_norms: Whether they are; None if the step counter in the graph decides.
        """

        def train_all() -> tf.Tensor:
            return self.network(inputs, training=True)

        def freeze_norms() -> tf.Tensor:
            with inference_mode(norms):
                return self.network(inputs, training=True)

        norms = self._trainable_batch_norms() if self.freeze_batch_norm_steps else []
        if not norms or freezes_norms is False:
            return train_all()
        if freezes_norms:
            return freeze_norms()
        return tf.cond(self._is_past(self.freeze_batch_norm_steps), train_all, freeze_norms)

    def _multiplier_of(self, variables: list[keras.Variable]) -> list[float | tf.Tensor]:
        """Return the learning rate of each variable relative to the optimizer's."""
        backbone = self.multipliers.get("backbone", 1.0)
        if self.freeze_steps:
            backbone *= tf.cast(self._is_past(self.freeze_steps), tf.float32)
        norms = backbone
        if self.freeze_batch_norm_steps:
            norms *= tf.cast(self._is_past(self.freeze_batch_norm_steps), tf.float32)
        loss = self.multipliers.get("loss")
        if loss is None:
            loss = getattr(self.ranking_loss, "learning_rate_multiplier", 1.0)
        body = self._backbone()
        multipliers = dict.fromkeys(map(id, self.loss_weights), loss)
        if body is not None:
            multipliers |= dict.fromkeys(map(id, body.trainable_variables), backbone)
            if decay := self.multipliers.get("layer_decay"):
                above = layers_above(body)
                for variable in body.trainable_variables:
                    multipliers[id(variable)] = backbone * decay ** above[id(variable)]
        for layer in self._trainable_batch_norms():
            multipliers |= dict.fromkeys(map(id, layer.trainable_variables), norms)
        return [multipliers.get(id(v), 1.0) for v in variables]

    def _is_past(self, steps: int) -> tf.Tensor:
        """Return whether the optimizer has taken at least so many steps: scalar bool."""
        return self.optimizer.iterations >= steps

    def _trainable_batch_norms(self) -> list[keras.layers.BatchNormalization]:
        """Return the batch normalizations of the backbone that are not frozen for good."""
        body = self._backbone()
        norms = [] if body is None else batch_norms(body)
        return [norm for norm in norms if norm.trainable]

    def _backbone(self) -> keras.Model | None:
        return next((layer for layer in self.network.layers if layer.name == "backbone"), None)


def _total(losses_of_layers: list[tf.Tensor]) -> tf.Tensor:
    sums = (tf.reduce_sum(tf.cast(value, tf.float32)) for value in losses_of_layers)
    return tf.add_n([tf.zeros(()), *sums])


def relative_spread(embeddings: tf.Tensor) -> tf.Tensor:
    """Return the spread of embeddings (B, D) around their mean, relative to their length.

    The root mean square distance to the mean, divided by the root mean square length: 0 if the
    embedding has collapsed to one point, about 1 in ordinary training.

    Returns:
        Scalar, float32. NaN if the embeddings are so large that a loss would clip them (see
        :func:`retrieval.losses.ops.inputs.bounded`): the loss then stays finite, and only this
        value shows that training has diverged.
    """
    centered = embeddings - tf.reduce_mean(embeddings, axis=0, keepdims=True)
    within = tf.reduce_mean(tf.reduce_sum(tf.square(centered), axis=1))
    squares = tf.reduce_sum(tf.square(embeddings), axis=1)
    total = tf.reduce_mean(squares)
    spread = tf.sqrt(within / tf.maximum(total, 1e-30))
    # The criterion of `bounded`; written so that NaN fails it as well.
    return tf.where(tf.reduce_sum(squares) <= LARGEST_COMPONENT**2, spread, float("nan"))


def gather(rows: tf.Tensor) -> tf.Tensor:
    """Concatenate the rows of all R replicas in sync, so that pairs across replicas count.

    Gather what is not differentiated, such as labels, outside of a gradient tape.

    Args:
        rows: (B, ...) of this replica.

    Returns:
        (R * B, ...), in the order of the replicas, differentiable; equal on every replica.
    """
    replicas = _replicas()
    if replicas == 1:
        return rows
    # What is computed here is on this replica's device; an argument of the step may be on none,
    # and TensorFlow would say: "destinations can not be empty".
    gathered = tf.distribute.get_replica_context().all_gather(tf.identity(rows), axis=0)
    known = None if rows.shape[0] is None else replicas * rows.shape[0]
    return tf.ensure_shape(gathered, (known, *rows.shape[1:]))


def _replicas() -> int:
    return tf.distribute.get_strategy().num_replicas_in_sync


def _built_loss(loss: keras.losses.Loss | Callable | str) -> Callable:
    """Return the loss that a model is given, made from its name if necessary, with variables."""
    if isinstance(loss, str):
        loss = losses.get_loss(loss)
    if not callable(loss):
        raise UserError(
            f"RankingModel takes a loss or the name of one, given {loss!r}: "
            'e.g. RankingModel(network, get_loss("hard_triplet"))'
        )
    if isinstance(loss, RankingLoss):
        loss.build_itself()
        loss.weights_are_trained = True
    return loss


def _inputs_and_labels(data: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Unpack the batch that Keras hands to a step; refuse weights and a lack of labels."""
    inputs, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if labels is None:
        raise UserError("RankingModel needs labels: fit(inputs, labels) or batches of both")
    if weights is not None:
        raise UserError(
            "sample_weight and class_weight are not defined over pairs of items: drop them"
        )
    return inputs, labels


def _import_losses(serialized: Any) -> None:
    """Import every loss of this package that a serialized object names.

    The registry of losses is lazy, and Keras finds a class by its registered name only once its
    module has been imported.
    """
    if not isinstance(serialized, dict):
        return
    package, _, class_name = str(serialized.get("registered_name")).partition(">")
    if package == "retrieval":
        getattr(losses, class_name, None)
    for value in serialized.values():
        _import_losses(value)

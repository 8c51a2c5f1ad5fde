"""Families of keras-hub's image backbones: what a preset's own files do not say.

A preset says how large its network is and how pixels become its input. Which of its tokens are
patches, and which vector its paper compares images by, is known of the family as a whole. keras-hub
lists the presets themselves (:mod:`retrieval.models.preset_list`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from retrieval.validation import MAP_POOLINGS

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# Size of a ViT in a preset's name -> width of its tokens (Dosovitskiy et al. 2021, table 1; Zhai et
# al. 2022; Oquab et al. 2024, table 16; Siméoni et al. 2025).
VIT_WIDTHS = {
    "tiny": 192, "small": 384, "base": 768, "large": 1024, "huge": 1280, "giant": 1536,
    "so400m": 1152, "7b": 4096,
}  # fmt: skip
# Of CLIP, the projection (Radford et al. 2021, table 20; Cherti et al. 2023).
CLIP_WIDTHS = {"base": 512, "b": 512, "large": 768, "h": 1024, "g": 1024, "bigg": 1280}
SWIN_WIDTHS = {"tiny": 768, "small": 768, "base": 1024, "large": 1536}
# What the families call the queries and values of their attention.
QUERIES_AND_VALUES = ("query", "value", "q_proj", "v_proj", "attention_qkv")


@dataclass(frozen=True, kw_only=True)
class Family:
    """What all presets of one class of keras-hub have in common.

    Attributes:
        name: Short name, for ``retrieval backbones --family``.
        paper: The paper that describes it.
        pooling: How the paper makes one vector of an image: a value of ``--pooling``.
        because: Where the paper says so.
        license: License of the weights by their authors, for the presets of ``page``; None if it
            differs from preset to preset. The model's page has the last word.
        page: The model of these presets on Kaggle. Defaults to None, the name.
        widths: Word of a preset's name -> width of the paper's pooled output, for presets whose
            files are not here.
        mean: Mean of the channels, of pixels in 0..1, for a preset without an image converter.
        std: Their standard deviation.
        tokens: Whether the network is a transformer of one resolution, with patches as tokens.
        class_token: Whether the first token stands for the image.
        head: Whether the network has a pooling of its own (attention or a projection).
        two_towers: Whether the network also has a text tower: images go through its
            ``vision_encoder``.
        square: Whether the network takes square images only.
    """

    name: str
    paper: str
    pooling: str = "average"
    because: str = "the classifier follows global average pooling"
    license: str | None = None
    page: str | None = None
    widths: Mapping[str, int] = field(default_factory=dict)
    mean: tuple[float, float, float] = IMAGENET[0]
    std: tuple[float, float, float] = IMAGENET[1]
    tokens: bool = False
    class_token: bool = False
    head: bool = False
    two_towers: bool = False
    square: bool = False

    @property
    def blocks(self) -> bool:
        """Whether the network is a stack of blocks of attention, known by their names."""
        return self.tokens or self.name == "swin"

    @property
    def poolings(self) -> tuple[str, ...]:
        """The values of ``--pooling`` that the family has."""
        of_class = ("cls", "cls+average") if self.class_token else ()
        return (*MAP_POOLINGS, *of_class, *(("head",) if self.head else ()))

    def width_in_name(self, name: str) -> int | None:
        """Return the width that a size in a preset's name stands for; None if it names none."""
        return next((self.widths[w] for w in name.split("_") if w in self.widths), None)

    def license_of(self, page: str) -> str | None:
        """Return the license of the presets of a model on Kaggle, e.g. of ``siglip``."""
        return self.license if page == (self.page or self.name) else None

    def prefix_tokens(self, config: Mapping[str, Any]) -> int:
        """Return how many tokens stand before those of the patches.

        Args:
            config: Arguments of the network's constructor.
        """
        if not self.class_token:
            return 0
        if self.name == "deit":
            return 2  # class and distillation
        if self.name == "vit":
            return int(config.get("use_class_token", True))
        registers = 4 if self.name == "dinov3" else 0  # keras-hub's defaults
        return 1 + int(config.get("num_register_tokens", registers))


# keras-hub's class -> family. A class that is not here does not embed images: it detects, segments,
# reads text or watches videos.
FAMILIES: dict[str, Family] = {
    "ViTBackbone": Family(
        name="vit",
        widths=VIT_WIDTHS,
        paper="Dosovitskiy et al. (2021), An Image is Worth 16x16 Words",
        pooling="cls",
        because="section 3.1, equation 4",
        license="Apache-2.0",
        mean=HALF[0],
        std=HALF[1],
        tokens=True,
        class_token=True,
    ),
    "DeiTBackbone": Family(
        name="deit",
        widths=VIT_WIDTHS,
        paper="Touvron et al. (2021), Training Data-Efficient Image Transformers",
        pooling="cls",
        because="section 4",
        license="Apache-2.0",
        tokens=True,
        class_token=True,
    ),
    "DINOV2Backbone": Family(
        name="dinov2",
        widths=VIT_WIDTHS,
        paper="Oquab et al. (2024), DINOv2: Learning Robust Visual Features without Supervision",
        pooling="cls",
        because="its k-NN and instance retrieval compare class tokens",
        license="Apache-2.0",
        tokens=True,
        class_token=True,
        square=True,
    ),
    "DINOV3Backbone": Family(
        name="dinov3",
        widths=VIT_WIDTHS,
        paper="Siméoni et al. (2025), DINOv3",
        pooling="cls",
        because="its instance retrieval compares class tokens",
        license="DINOv3 License",
        tokens=True,
        class_token=True,
    ),
    "CLIPBackbone": Family(
        name="clip",
        widths=CLIP_WIDTHS,
        paper="Radford et al. (2021), Learning Transferable Visual Models From Natural Language",
        pooling="head",
        because="images and texts are compared after the projection of the class token",
        license="MIT",
        mean=CLIP[0],
        std=CLIP[1],
        tokens=True,
        class_token=True,
        head=True,
        two_towers=True,
        square=True,
    ),
    "MetaCLIP2Backbone": Family(
        name="metaclip2",
        paper="Chuang et al. (2025), MetaCLIP 2: A Worldwide Scaling Recipe",
        pooling="head",
        because="images and texts are compared after the projection of the class token",
        license="CC-BY-NC-4.0",
        mean=CLIP[0],
        std=CLIP[1],
        tokens=True,
        class_token=True,
        head=True,
        two_towers=True,
        square=True,
    ),
    "SigLIPBackbone": Family(
        name="siglip",
        widths=VIT_WIDTHS,
        paper="Zhai et al. (2023), Sigmoid Loss for Language Image Pre-Training; Tschannen et al. "
        "(2025), SigLIP 2",
        pooling="head",
        because="images and texts are compared after attention pooling (MAP head)",
        license="Apache-2.0",
        mean=HALF[0],
        std=HALF[1],
        tokens=True,
        head=True,
        two_towers=True,
        square=True,
    ),
    "SwinTransformerBackbone": Family(
        name="swin",
        paper="Liu et al. (2021), Swin Transformer",
        license="MIT",
        page="swin-transformer",
        widths=SWIN_WIDTHS,
    ),
    "MiTBackbone": Family(
        name="mit",
        paper="Xie et al. (2021), SegFormer",
        because="section 4, pre-training on ImageNet",
    ),
    "ResNetBackbone": Family(name="resnet", paper="He et al. (2016), Deep Residual Learning"),
    "EfficientNetBackbone": Family(name="efficientnet", paper="Tan, Le (2019), EfficientNet"),
    "MobileNetBackbone": Family(name="mobilenet", paper="Howard et al. (2019), MobileNetV3"),
    "MobileNetV5Backbone": Family(
        name="mobilenetv5",
        paper="Google (2025), Gemma 3n, its image encoder",
        license="Gemma Terms of Use",
    ),
    "HGNetV2Backbone": Family(name="hgnetv2", paper="Baidu (2023), PP-HGNetV2"),
    "CSPNetBackbone": Family(name="cspnet", paper="Wang et al. (2020), CSPNet"),
    "DenseNetBackbone": Family(name="densenet", paper="Huang et al. (2017), DenseNet"),
    "VGGBackbone": Family(name="vgg", paper="Simonyan, Zisserman (2015), VGG"),
    "XceptionBackbone": Family(name="xception", paper="Chollet (2017), Xception"),
    "ConvNeXtBackbone": Family(
        name="convnext", paper="Liu et al. (2022), A ConvNet for the 2020s", license="MIT"
    ),
}

"""All traced figures of one model, each computed when first asked for."""

from functools import cached_property

import torch

from phalanx.comparison import probes
from phalanx.comparison.growing import ENDS, Grown, grown
from phalanx.comparison.growth import NEAR, Growth, Lengths, growth, lengths_of, scalar_laws
from phalanx.comparison.products import Products, products
from phalanx.comparison.reach import (
    DISTANCES,
    FAR_DISTANCES,
    Reach,
    TokenChain,
    reach,
    token_chain,
)
from phalanx.comparison.subjects import Subject, on_meta, on_numbers
from phalanx.models import Decoder, SequenceModel
from phalanx.profiling.span import Law


class Figures:
    """The figures that the structure verdicts of a model rest on; None where a part is missing.

    Spans and paths come from the narrow copy in float32, as it runs; exact properties from the
    same copy in float64; the products from the model at its own width.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    @cached_property
    def model(self) -> SequenceModel:
        """The narrow copy in float32."""
        return on_numbers(self.subject, torch.float32)

    @cached_property
    def exact(self) -> SequenceModel:
        """The narrow copy in float64."""
        return on_numbers(self.subject)

    @property
    def generates(self) -> bool:
        """Whether the model is a decoder."""
        return isinstance(self.model, Decoder)

    @cached_property
    def lengths(self) -> Lengths:
        """The lengths at which the model is traced."""
        return lengths_of(self.model)

    @cached_property
    def forward(self) -> Growth:
        """Chain of a forward pass against T."""
        return growth(self.model, "forward", self.lengths)

    @cached_property
    def train(self) -> Growth:
        """Chain of forward, loss and backward against T."""
        return growth(self.model, "train", self.lengths)

    @cached_property
    def scalar(self) -> list[Law]:
        """Scalar depth of each mixer against T."""
        return scalar_laws(self.model, self.lengths)

    @cached_property
    def reach(self) -> Reach:
        """Paths between positions."""
        return reach(self.model, DISTANCES if self.lengths == NEAR else FAR_DISTANCES)

    @cached_property
    def tokens(self) -> TokenChain | None:
        """Which generated token needs which."""
        model = self.model
        return token_chain(model) if isinstance(model, Decoder) else None

    @cached_property
    def products(self) -> Products:
        """Matrix products of a training pass."""
        return products(on_meta(self.subject))

    @cached_property
    def ends(self) -> tuple[Grown, Grown]:
        """Training passes of the smallest and the largest of the family."""
        small, large = ENDS
        return grown(self.subject, small), grown(self.subject, large)

    @cached_property
    def heads(self) -> probes.Independence | None:
        """Heads computed alone."""
        return probes.heads(self.exact)

    @cached_property
    def feed_forward(self) -> probes.Independence | None:
        """Positions through the feed-forward networks alone."""
        return probes.feed_forward(self.exact)

    @cached_property
    def rows(self) -> probes.Independence:
        """Rows of a batch alone."""
        return probes.batch_rows(self.exact)

    @cached_property
    def teacher_forcing(self) -> probes.TeacherForcing | None:
        """Losses of one pass against those of prefixes."""
        return probes.teacher_forcing(self.exact) if self.generates else None

    @cached_property
    def scanned(self) -> probes.Scanned | None:
        """Recurrences in use against their serial schedule."""
        return probes.scanned(self.exact, self.lengths)

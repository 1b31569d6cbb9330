"""The error tree: one class for each party who can fix the problem.

    SegmentationError            any of the below; str(error) is a sentence fit to show
    |- RegistryError             model_registry.yaml is wrong, or has no such model      (operator)
    |- WeightsError              cannot be fetched, or are not the pinned file           (network, disk)
    |- SessionError              cannot be loaded or run; provider missing; bad shape    (installation, model)
    |- ImageError                not an image, damaged, or too large                     (visitor's file)
    |- SettingsError             a value out of range, or values that contradict         (visitor's settings)
    `- MattingError              nothing certain to matte from                           (picture with these settings)

Any other exception is a bug and surfaces as one.
"""


class SegmentationError(Exception):
    """Base of all errors in this package; its text is a sentence that says what to do."""

    @property
    def message(self) -> str:
        """The sentence; a `Message` if it can be translated."""
        return self.args[0] if self.args and isinstance(self.args[0], str) else str(self)


class RegistryError(SegmentationError):
    """The registry file is wrong, or does not contain the requested model."""


class WeightsError(SegmentationError):
    """The weights cannot be downloaded, may not be used, or are not the pinned file."""


class SessionError(SegmentationError):
    """The network cannot be loaded or run on the requested device."""


class ImageError(SegmentationError):
    """The file is not a picture, is damaged, or is too large."""


class SettingsError(SegmentationError):
    """A setting is out of range, or contradicts another setting or the model."""


class MattingError(SegmentationError):
    """The mask leaves no certain pixels to matte from."""

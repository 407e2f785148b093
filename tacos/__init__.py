"""Select instruction-tuning data, fine-tune on it, judge the model, report what the selection bought."""

__version__ = "0.1.0"

"""The toy tables of training, here too."""

from lex_assets_tests.training.conftest import bi_encoder_folder, tokenizer_files, toy

__all__ = ["bi_encoder_folder", "tokenizer_files", "toy"]

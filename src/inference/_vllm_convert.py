"""A GGUF as a folder in Hugging Face's format, with its weights as float32: what vLLM loads.

    python _vllm_convert.py WEIGHTS.gguf FOLDER

Runs in vLLM's environment, not in ours: it needs torch and transformers (`GgufConfig`), and nothing of this package.
The quantised weights are multiplied out and not trained again, so the model is the one in the GGUF, at several times
its size.

Private: nothing but `inference.vllm` may start it.
"""

import sys
from pathlib import Path


def main() -> None:
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    weights, folder = Path(sys.argv[1]), Path(sys.argv[2])
    model = AutoModelForCausalLM.from_pretrained(
        weights.parent,
        gguf_file=weights.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
        local_files_only=True,
    )
    model.save_pretrained(folder)


if __name__ == "__main__":
    main()

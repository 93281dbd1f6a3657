"""datatrove: MinHash deduplication of one file of JSON lines, step by step on one core.

    python datatrove_minhash.py INPUT_FOLDER FOLDER

Prints seconds and which documents are left. Words are what white space parts, which is cheaper than
any tokenizer that it has. Inside the clock: all four steps, reading and writing. Outside: imports.
"""

import json
import sys
import time
from pathlib import Path


def main(source: str, folder: str) -> None:
    import xxhash
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.word_tokenizers import WordTokenizer
    from loguru import logger

    if int(xxhash.VERSION.partition(".")[0]) >= 4:  # which takes bytes only; datatrove gives text
        digest = xxhash.xxh64_intdigest
        xxhash.xxh64_intdigest = lambda text: digest(text.encode())

    class Words(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    logger.remove()
    config = MinhashConfig()
    signatures, buckets, removed = (f"{folder}/{name}" for name in ("signatures", "buckets", "ids"))
    steps = [
        [JsonlReader(source), MinhashDedupSignature(signatures, config, language=Words())],
        [MinhashDedupBuckets(signatures, buckets, config=config)],
        [MinhashDedupCluster(buckets, removed, config=config)],
        [
            JsonlReader(source),
            MinhashDedupFilter(removed),
            JsonlWriter(f"{folder}/kept", compression=None),
        ],
    ]
    began = time.perf_counter()
    for number, step in enumerate(steps):
        # The buckets are that many tasks, one after the other.
        tasks = config.num_buckets if number == 1 else 1
        LocalPipelineExecutor(
            step, tasks=tasks, workers=1, logging_dir=f"{folder}/logs/{number}"
        ).run()
    seconds = time.perf_counter() - began
    left = [line for path in Path(folder, "kept").glob("*.jsonl") for line in path.open()]
    ids = [json.loads(line)["id"] for line in left]
    print(json.dumps({"seconds": seconds, "kept": ids}))


if __name__ == "__main__":
    main(*sys.argv[1:])

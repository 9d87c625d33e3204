"""What one writes first, to measure against: kafka-python, a `transformers` pipeline, a message out for each post.

The encoder is the same, with one head on its mean-pooled vector, in fp32 as pipelines run it, in batches of 32. There
are no windows, no tables, no alerts, and nothing survives a crash.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
import torch
from kafka.admin import NewTopic
from transformers import BertConfig, PreTrainedTokenizerFast, TextClassificationPipeline
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.bert.modeling_bert import BertPreTrainedModel
from transformers.utils import logging as transformers_logging

from streamwatch.config import ModelConfig
from streamwatch.ingest.connection import Connection
from streamwatch.model.encoder import fine_tuned, load_encoder
from streamwatch.model.trained import load_trained, shipped_folder
from streamwatch.records import SENTIMENTS, Post

BATCH = 32
MAX_TOKENS = 256


class MeanPooledClassifier(BertPreTrainedModel):
    """The encoder with one linear head over the mean of its last layer."""

    def __init__(self, config: BertConfig, encoder: torch.nn.Module) -> None:
        super().__init__(config)
        self.bert = encoder
        self.head = torch.nn.Linear(config.hidden_size, len(SENTIMENTS))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> SequenceClassifierOutput:
        """Return the logits `(rows, classes)`."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[:, :, None].to(hidden.dtype)
        return SequenceClassifierOutput(logits=self.head((hidden * mask).sum(1) / mask.sum(1)))


def build_pipeline() -> TextClassificationPipeline:
    """Return the pipeline on the model that comes with streamwatch, with its sentiment head alone."""
    # It warns of models that it does not know by name.
    transformers_logging.set_verbosity(logging.CRITICAL)
    trained, base = load_trained(shipped_folder()), load_encoder(ModelConfig().base)
    encoder = fine_tuned(base, trained.differences, trained.manifest.tensors_sha256)
    module = encoder.module()
    config: Any = module.config
    config.num_labels, config.id2label = len(SENTIMENTS), dict(enumerate(SENTIMENTS))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=encoder.tokenizer.library, pad_token="<pad>", model_max_length=MAX_TOKENS
    )
    model: Any = MeanPooledClassifier(config, module)
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(trained.heads["sentiment"].weight))
        model.head.bias.copy_(torch.from_numpy(trained.heads["sentiment"].bias))
    model.eval()
    return TextClassificationPipeline(model=model, tokenizer=tokenizer, batch_size=BATCH, device=-1)


def plain_loop(pipeline: TextClassificationPipeline, connection: Connection, posts: Sequence[Post]) -> float:
    """Send posts through the loop, all waiting in the stream before it begins; return posts a second."""
    source, sink = (f"plain-{uuid4().hex}-{end}" for end in ("in", "out"))
    with connection.admin() as admin:
        admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1) for name in (source, sink)])
    producer = connection.producer()
    for post in posts:
        producer.send(source, msgspec.json.encode(post))
    producer.flush()
    consumer = connection.consumer(auto_offset_reset="earliest", group_id=f"{source}-group", enable_auto_commit=False)
    consumer.subscribe([source])
    started, done = 0.0, 0
    while done < len(posts):
        records = [record for batch in consumer.poll(timeout_ms=500, max_records=BATCH).values() for record in batch]
        started = started or time.perf_counter()
        if records:
            values = [json.loads(record.value) for record in records]
            answers = pipeline([value["text"] for value in values], truncation=True)
            for value, answer in zip(values, answers, strict=True):
                producer.send(sink, json.dumps(value | answer).encode())
            producer.flush()
            consumer.commit()
            done += len(records)
    took = time.perf_counter() - started
    consumer.close()
    producer.close()
    return done / took

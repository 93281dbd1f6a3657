"""A document in a packed row is as if it were alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.document_masks import packed_documents

VOCABULARY = 13


@pytest.fixture(scope="module")
def model():
    shape = LlamaShape(
        hidden_size=16, layers=2, heads=4, kv_heads=2, intermediate_size=24, context_length=32
    )
    built = build_llama(shape, VOCABULARY, bos_token_id=None, eos_token_id=None, seed=1).eval()
    with torch.no_grad():
        for parameter in built.parameters():  # freshly built, all tokens look much alike
            parameter.mul_(5.0)
    return built


def logits(model, input_ids, documents=None, dtype=None):
    extra = {}
    if documents is not None:
        extra = {
            "position_ids": documents.positions,
            "attention_mask": documents.attention_mask(dtype),
        }
    with torch.no_grad():
        return model(input_ids=input_ids, use_cache=False, **extra).logits


def ids(*shape, seed=0):
    return torch.randint(0, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def test_documents_and_positions_restart_where_a_document_starts():
    documents = packed_documents([[0, 3, 4], [0], []], 6)
    assert documents.document.tolist() == [[0, 0, 0, 1, 2, 2], [0] * 6, [0] * 6]
    assert documents.positions.tolist() == [[0, 1, 2, 0, 0, 1], list(range(6)), list(range(6))]
    assert documents.first[0].tolist() == [True, False, False, True, True, False]


@given(
    lengths=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=3)
)
def test_a_query_sees_exactly_its_own_document_up_to_itself(lengths):
    length = max(map(sum, lengths))
    starts = [[sum(row[:k]) for k in range(len(row))] for row in lengths]
    documents = packed_documents(starts, length)
    mask = documents.attention_mask()
    for row, places in enumerate(starts):
        for query in range(length):
            begin = max(place for place in places if place <= query)
            seen = [begin <= key <= query for key in range(length)]
            if mask is not None:
                assert mask[row, 0, query].tolist() == seen
            assert documents.positions[row, query] == query - begin
    assert (mask is None) == all(len(row) == 1 for row in lengths)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_logits_of_a_packed_document_are_those_of_the_document_alone(model, attention):
    model.set_attn_implementation(attention)
    try:
        input_ids = ids(2, 12)
        starts = [[0, 5, 6], [0, 7]]
        packed = logits(
            model, input_ids, packed_documents(starts, 12),
            dtype=torch.float32 if attention == "eager" else None,
        )  # fmt: skip
        for row, places in enumerate(starts):
            for begin, end in zip(places, [*places[1:], 12], strict=True):
                alone = logits(model, input_ids[row : row + 1, begin:end])
                assert torch.allclose(packed[row, begin:end], alone[0], atol=1e-5)
        # Without the mask, later documents do see earlier ones: the test can fail.
        assert not torch.allclose(packed[:, 8:], logits(model, input_ids)[:, 8:], atol=1e-2)
    finally:
        model.set_attn_implementation("sdpa")


def test_a_change_in_one_document_reaches_no_other(model):
    input_ids = ids(1, 12)
    documents = packed_documents([[0, 4, 8]], 12)
    before = logits(model, input_ids, documents)
    changed = input_ids.clone()
    changed[0, 4:8] = (changed[0, 4:8] + 1) % VOCABULARY
    after = logits(model, changed, documents)
    assert torch.equal(before[0, :4], after[0, :4])
    assert torch.equal(before[0, 8:], after[0, 8:])
    assert not torch.allclose(before[0, 4:8], after[0, 4:8])


def test_one_document_is_plain_causal_attention_to_the_bit(model):
    input_ids = ids(2, 9)
    documents = packed_documents([[0], [0]], 9)
    assert torch.equal(logits(model, input_ids, documents), logits(model, input_ids))


def test_one_document_beside_a_row_of_several_is_plain_causal_attention(model):
    input_ids = ids(2, 9)
    packed = logits(model, input_ids, packed_documents([[0], [0, 4]], 9))
    assert torch.allclose(packed[0], logits(model, input_ids)[0], atol=1e-6)


@pytest.mark.parametrize("starts", [[1, 3], [0, 3, 3], [0, 4, 2], [0, 6], [0, -1]])
def test_starts_that_are_no_places_in_order_are_errors(starts):
    with pytest.raises(ValueError, match="row 1: the starts of documents must ascend"):
        packed_documents([[0], starts], 6)


def test_no_rows_and_no_tokens_have_no_mask():
    assert packed_documents([], 4).attention_mask() is None
    assert packed_documents([[]], 0).attention_mask() is None

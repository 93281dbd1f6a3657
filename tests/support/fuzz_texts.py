"""Texts that a tokenizer must give back byte for byte (methods: emoji, marks, control, digits)."""

FUZZ = {
    "emoji_zwj": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "combining_marks": "e\u0301 vs é, n\u0303o\u0302, Z\u0351\u0343a\u0363l\u0334go",
    "right_to_left": "\u202eשלום\u202c \u200fمرحبا\u200e 123",
    "crlf": "a\r\nb\rc\n\n\r\n",
    "tabs": "\tif x:\n\t\treturn\t1",
    "trailing_spaces": "end   ",
    "only_spaces": "    ",
    "leading_space": " start",
    "space_before_punctuation": "Hello , world ! do n't",
    "nul": "a\0b\0",
    "digits": "0 00 007 1234567890 ٠١٢٣ ١٢",
    "empty": "",
    "no_break_and_zero_width": "a\u00a0b\u200bc\ufeff",
    "outside_the_training_data": "ကမ္ဘာ ꙮ 𒀀 \U0010ffff",
    "special_token_in_text": "a<|endoftext|>b <|endoftext|> <|endof",
    "byte_alphabet_itself": "ĠhelloĊ Ģ",
}

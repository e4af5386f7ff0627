package workload

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// kind is a type of JSON that a parameter of a request must have.
type kind struct {
	want string // for errors
	ok   func(value json.RawMessage) bool
}

// parameters are the members of a line that are sent as members of the request:
// parameters of the OpenAI API, and those that vLLM, SGLang, TGI and llama.cpp add to it.
var parameters = kinds{}.
	add(kind{"a number", number(math.Inf(-1))}, "presence_penalty frequency_penalty length_penalty").
	add(kind{"a number of at least 0", number(0)}, "temperature top_p min_p top_a tfs typical_p repetition_penalty").
	add(kind{"an integer", integer(math.MinInt64)}, "top_k seed truncate_prompt_tokens prompt_logprobs priority").
	add(kind{"an integer of at least 0", integer(0)}, "min_tokens top_logprobs").
	add(kind{"an integer of at least 1", integer(1)}, strings.Join(tokenLimits, " ")+" n best_of dimensions").
	add(kind{"true or false", boolean}, `ignore_eos use_beam_search stream parallel_tool_calls include_reasoning echo store add_generation_prompt
		continue_final_message add_special_tokens skip_special_tokens spaces_between_special_tokens include_stop_str_in_output`).
	add(kind{"a text that is not empty", text}, "model").
	add(kind{"a text", starts(`"`)}, `reasoning_effort verbosity guided_regex guided_grammar guided_decoding_backend regex ebnf instructions suffix user service_tier
		safety_identifier prompt_cache_key cache_salt encoding_format chat_template`).
	add(kind{"an object", starts("{")}, `stream_options response_format structured_outputs logit_bias audio prediction web_search_options chat_template_kwargs
		mm_processor_kwargs kv_transfer_params nvext`).
	add(kind{"an array of objects", objects}, "tools functions documents").
	add(kind{"an array", starts("[")}, "stop_token_ids bad_words allowed_token_ids guided_choice modalities include").
	add(kind{"a text or an array", starts(`"[`)}, "stop lora_path").
	add(kind{"a text or an object", starts(`"{`)}, "tool_choice function_call guided_json json_schema truncation").
	add(kind{"true, false or an integer", starts("tf0123456789")}, "logprobs").
	add(kind{"JSON", func(json.RawMessage) bool { return true }}, "reasoning thinking text")

// tokenLimits are the names of the limit of output tokens. A server refuses two of them.
var tokenLimits = []string{"max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens"}

// kinds are kinds by the name of a parameter.
type kinds map[string]kind

func (k kinds) add(what kind, names string) kinds {
	for name := range strings.FieldsSeq(names) {
		k[name] = what
	}
	return k
}

// checkParameter returns whether a parameter is known, and a [*checks.InvalidError] if
// its value has another type of JSON.
func checkParameter(name string, value json.RawMessage) (known bool, err error) {
	k, known := parameters[name]
	if known && !k.ok(value) {
		err = invalid(name, brief(value), k.want)
	}
	return known, err
}

// starts returns a check of the first byte of a value.
func starts(with string) func(json.RawMessage) bool {
	return func(value json.RawMessage) bool { return len(value) > 0 && strings.IndexByte(with, value[0]) >= 0 }
}

func number(least float64) func(json.RawMessage) bool {
	return func(value json.RawMessage) bool {
		n, err := strconv.ParseFloat(string(value), 64)
		return err == nil && n >= least
	}
}

func integer(least float64) func(json.RawMessage) bool {
	return func(value json.RawMessage) bool {
		n, err := strconv.ParseFloat(string(value), 64)
		return err == nil && n >= least && n == math.Trunc(n)
	}
}

func boolean(value json.RawMessage) bool {
	return string(value) == "true" || string(value) == "false"
}

func text(value json.RawMessage) bool {
	return len(value) > 2 && value[0] == '"'
}

func objects(value json.RawMessage) bool {
	var all []json.RawMessage
	if json.Unmarshal(value, &all) != nil || all == nil {
		return false
	}
	for _, one := range all {
		if !bytes.HasPrefix(one, []byte("{")) {
			return false
		}
	}
	return true
}

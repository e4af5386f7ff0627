package workload

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// parameters are the members of a line that are sent as members of the request: parameters of
// the OpenAI API, and what vLLM, SGLang, TGI and llama.cpp add to it.
var parameters = strings.Fields(`
	model temperature top_p top_k min_p top_a tfs typical_p n best_of use_beam_search seed stop stop_token_ids stream stream_options
	ignore_eos min_tokens max_tokens max_completion_tokens max_output_tokens max_new_tokens truncate_prompt_tokens
	presence_penalty frequency_penalty repetition_penalty length_penalty logit_bias logprobs top_logprobs prompt_logprobs bad_words allowed_token_ids
	tools tool_choice parallel_tool_calls functions function_call
	response_format structured_outputs guided_json guided_regex guided_choice guided_grammar guided_decoding_backend regex ebnf json_schema
	reasoning reasoning_effort include_reasoning thinking verbosity modalities audio prediction web_search_options instructions truncation text include
	echo suffix user service_tier store safety_identifier prompt_cache_key cache_salt priority dimensions encoding_format
	chat_template chat_template_kwargs add_generation_prompt continue_final_message add_special_tokens skip_special_tokens
	spaces_between_special_tokens include_stop_str_in_output mm_processor_kwargs documents lora_path kv_transfer_params nvext`)

// columns are the members of a line that describe it and are not sent.
var columns = strings.Fields("id custom_id question_id request_id category reference answer source dataset chat_id parent_chat_id session_id turn type")

// extraBody returns the members of a line that are sent with the request, without those
// in read, which have been read already.
func extraBody(line map[string]json.RawMessage, read ...string) (map[string]json.RawMessage, error) {
	all := make(map[string]json.RawMessage)
	if extra, ok := line["extra_body"]; ok {
		if err := json.Unmarshal(extra, &all); err != nil {
			return nil, fmt.Errorf("extra_body: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(line)) {
		switch {
		case name == "extra_body", slices.Contains(read, name), slices.Contains(columns, name):
		case !slices.Contains(parameters, name):
			return nil, fmt.Errorf(`the member %.64q is not known, want a parameter of a request such as "temperature", or an object "extra_body" with it`, name)
		case all[name] != nil:
			return nil, fmt.Errorf("the member %q is in the line and in its extra_body, want it once", name)
		default:
			all[name] = line[name]
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}

// ValidateExtraBody returns an error that joins a [*checks.InvalidError] for each member
// of an extra body that is not JSON, has no name, or would replace the prompt. field is
// the path of the extra body for errors.
func ValidateExtraBody(field string, extra map[string]json.RawMessage) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if name == "" || name == "messages" || name == "prompt" || name == "input" || !json.Valid(extra[name]) {
			errs = append(errs, invalid(fmt.Sprintf("%s[%q]", field, name), brief(extra[name]), "JSON of a member other than messages, prompt and input"))
		}
	}
	return errors.Join(errs...)
}

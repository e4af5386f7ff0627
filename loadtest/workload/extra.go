package workload

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// columns are the members of a line that describe it and are not sent.
var columns = strings.Fields("id custom_id question_id request_id category reference answer source dataset chat_id parent_chat_id session_id turn type")

// extraBody returns the members of a line that are sent with the request, without those
// in read, which have been read already. The error joins one for each member that cannot
// be sent.
func extraBody(line map[string]json.RawMessage, read ...string) (map[string]json.RawMessage, error) {
	all := make(map[string]json.RawMessage)
	if extra, ok := line["extra_body"]; ok {
		if err := json.Unmarshal(extra, &all); err != nil || all == nil {
			return nil, invalid("extra_body", brief(extra), "an object")
		}
	}
	var errs []error
	var limits []string
	for _, name := range slices.Sorted(maps.Keys(line)) {
		if name == "extra_body" || slices.Contains(read, name) || slices.Contains(columns, name) {
			continue
		}
		known, err := checkParameter(name, line[name])
		switch {
		case !known:
			err = fmt.Errorf(`the member %.64q is not known, want a parameter of a request such as "temperature", or an object "extra_body" with it`, name)
		case all[name] != nil:
			err = fmt.Errorf("the member %q is in the line and in its extra_body, want it once", name)
		}
		if errs = append(errs, err); err == nil {
			all[name] = line[name]
		}
	}
	for _, name := range tokenLimits {
		if all[name] != nil {
			limits = append(limits, name)
		}
	}
	if len(limits) > 1 {
		errs = append(errs, fmt.Errorf("the members %s are limits of the same tokens, want one of them", strings.Join(limits, " and ")))
	}
	if err := errors.Join(errs...); err != nil || len(all) == 0 {
		return nil, err
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

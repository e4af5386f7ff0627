// Package former reads JSON whose members have the names of earlier versions.
package former

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Name is a name of today and the name that it had in earlier versions.
type Name struct{ Now, Former string }

// BothError means that an object has a member under both names.
type BothError struct{ Name }

func (e *BothError) Error() string {
	return `JSON with "` + e.Now + `" and its former name "` + e.Former + `"`
}

// Rename returns the JSON object data with the members under the names of today. It looks
// at the members of the object itself, not at the members of its values. Data that is no object
// is returned as it is. The error is a [*BothError].
func Rename(data []byte, names ...Name) ([]byte, error) {
	var found []Name
	for _, n := range names {
		if bytes.Contains(data, []byte(`"`+n.Former+`"`)) {
			found = append(found, n)
		}
	}
	var members map[string]json.RawMessage
	if len(found) == 0 || json.Unmarshal(data, &members) != nil || members == nil {
		return data, nil
	}
	changed := false
	for _, n := range found {
		value, ok := members[n.Former]
		if !ok {
			continue
		}
		if _, both := members[n.Now]; both {
			return nil, &BothError{n}
		}
		delete(members, n.Former)
		members[n.Now] = value
		changed = true
	}
	if !changed {
		return data, nil
	}
	return json.Marshal(members)
}

// Decode decodes the JSON object data into v, with the members under either name. A member
// that v does not have is an error.
func Decode(data []byte, v any, names ...Name) error {
	data, err := Rename(data, names...)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// Unknown returns the member that err of [Decode] is about, in quotes.
func Unknown(err error) (member string, ok bool) {
	return strings.CutPrefix(err.Error(), "json: unknown field ")
}

package analysis

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// The binary form of evidence: its number, then the fields that are not zero, each after
// its place in the struct and how its value is written. A reader passes over fields that
// it does not know, so fields may be added at the end of a struct; none may be moved or
// removed without a new number.
const evidenceBinary = 1

// How the value of a field is written.
const (
	asInt   = iota // a varint
	asFloat        // the bits in reverse order of bytes, as a varint
	asBytes        // a length, and as many bytes
)

var errEvidence = errors.New("analysis: evidence: the binary form is damaged")

// AppendBinary implements [encoding.BinaryAppender]. The binary form takes about a third
// of the JSON. It has no checksum. It never returns an error.
func (e Evidence) AppendBinary(b []byte) ([]byte, error) {
	p := packer{b: append(b, evidenceBinary)}
	p.fields(reflect.ValueOf(e.evidence))
	return p.b, nil
}

// MarshalBinary implements [encoding.BinaryMarshaler]; see [Evidence.AppendBinary].
func (e Evidence) MarshalBinary() ([]byte, error) { return e.AppendBinary(nil) }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It also reads JSON. If the data
// cannot be read it returns an error and leaves e unchanged. Whether the evidence is
// possible is checked where it is used, such as by [Plan.Merge].
func (e *Evidence) UnmarshalBinary(data []byte) error {
	var read Evidence
	switch {
	case len(data) > 0 && data[0] == '{':
		if err := json.Unmarshal(data, &read); err != nil {
			return fmt.Errorf("analysis: evidence: %w", err)
		}
	case len(data) == 0:
		return errEvidence
	case data[0] != evidenceBinary:
		return fmt.Errorf("analysis: evidence: binary form is unknown (have %d, want %d)", data[0], evidenceBinary)
	default:
		u := unpacker{b: data[1:]}
		if u.fields(reflect.ValueOf(&read.evidence).Elem()); u.err != nil {
			return errEvidence
		}
	}
	*e = read
	return nil
}

// fields writes the fields of a struct that are not zero.
func (p *packer) fields(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if f.IsZero() {
			continue
		}
		wire := wireOf(f.Kind())
		p.uint(uint64(i)<<2 | uint64(wire))
		if wire != asBytes {
			p.value(f)
			continue
		}
		inner := packer{}
		inner.value(f)
		p.uint(uint64(len(inner.b)))
		p.b = append(p.b, inner.b...)
	}
}

func wireOf(k reflect.Kind) int {
	switch k {
	case reflect.Bool, reflect.Int, reflect.Uint8:
		return asInt
	case reflect.Float64:
		return asFloat
	}
	return asBytes
}

// value writes a value whose length is known to the reader, or one that says its own.
func (p *packer) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		n := int64(0)
		if v.Bool() {
			n = 1
		}
		p.int(n)
	case reflect.Int:
		p.int(v.Int())
	case reflect.Uint8:
		p.int(int64(v.Uint()))
	case reflect.Float64:
		p.float(v.Float())
	case reflect.String:
		p.b = append(p.b, v.String()...)
	case reflect.Pointer:
		p.value(v.Elem())
	case reflect.Struct:
		p.fields(v)
	case reflect.Array:
		for i := range v.Len() {
			p.element(v.Index(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			p.b = append(p.b, v.Bytes()...)
			return
		}
		for i := range v.Len() {
			p.element(v.Index(i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int {
			if a.Kind() == reflect.String {
				return cmp.Compare(a.String(), b.String())
			}
			return bytes.Compare(keyBytes(a), keyBytes(b))
		})
		for _, k := range keys {
			p.element(k)
			p.element(v.MapIndex(k))
		}
	default:
		panic("analysis: evidence has a field of kind " + v.Kind().String())
	}
}

// keyBytes returns an integer so that bytes sort as numbers do.
func keyBytes(v reflect.Value) []byte {
	n := uint64(0)
	if v.CanInt() {
		n = uint64(v.Int())
	} else {
		n = v.Uint()
	}
	return binary.BigEndian.AppendUint64(nil, n)
}

// element writes one of several values.
func (p *packer) element(v reflect.Value) {
	if wireOf(v.Kind()) != asBytes {
		p.value(v)
		return
	}
	inner := packer{}
	inner.value(v)
	p.uint(uint64(len(inner.b)))
	p.b = append(p.b, inner.b...)
}

// fields reads what [packer.fields] has written, up to the end of u.
func (u *unpacker) fields(v reflect.Value) {
	for next := 0; len(u.b) > 0 && u.err == nil; {
		tag := u.uint()
		i, wire := int(tag>>2), int(tag&3)
		if i < next || tag>>2 > 1<<10 {
			u.err = errEvidence
			return
		}
		if next = i + 1; i >= v.NumField() { // written by a later release
			u.skip(wire)
			continue
		}
		if f := v.Field(i); wire != wireOf(f.Kind()) {
			u.err = errEvidence
		} else {
			u.element(f)
		}
	}
}

// skip passes over a value.
func (u *unpacker) skip(wire int) {
	switch wire {
	case asInt, asFloat:
		u.uint()
	case asBytes:
		u.part()
	default:
		u.err = errEvidence
	}
}

// part reads a length, and returns as many bytes.
func (u *unpacker) part() []byte {
	n := u.uint()
	if u.err != nil || n > uint64(len(u.b)) {
		u.err, u.b = errEvidence, nil
		return nil
	}
	part := u.b[:n:n]
	u.b = u.b[n:]
	return part
}

// element reads one of several values, or a field.
func (u *unpacker) element(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(u.int() == 1)
		return
	case reflect.Int:
		v.SetInt(u.int())
		return
	case reflect.Uint8:
		n := u.int()
		if n < 0 || n > 255 {
			u.err = errEvidence
			return
		}
		v.SetUint(uint64(n))
		return
	case reflect.Float64:
		v.SetFloat(u.float())
		return
	}
	in := unpacker{b: u.part(), err: u.err}
	in.value(v)
	if u.err = in.err; u.err == nil && len(in.b) > 0 {
		u.err = errEvidence
	}
}

// value reads a value that takes all of u.
func (u *unpacker) value(v reflect.Value) {
	if u.err != nil {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(string(u.b))
		u.b = nil
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		u.value(v.Elem())
	case reflect.Struct:
		u.fields(v)
	case reflect.Array:
		for i := range v.Len() {
			u.element(v.Index(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(bytes.Clone(u.b))
			u.b = nil
			return
		}
		for len(u.b) > 0 && u.err == nil {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			u.element(v.Index(v.Len() - 1))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for len(u.b) > 0 && u.err == nil {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			u.element(key)
			if len(u.b) == 0 {
				u.err = errEvidence
				return
			}
			u.element(value)
			v.SetMapIndex(key, value)
		}
	default:
		panic("analysis: evidence has a field of kind " + v.Kind().String())
	}
}

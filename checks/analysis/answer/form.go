package answer

import (
	"bytes"
	"strings"
)

// Form is the form of a response's body. The zero value is UnknownForm.
type Form uint8

// The forms of bodies.
const (
	UnknownForm Form = iota
	Document         // one JSON document
	Lines            // JSON documents, one on each line (NDJSON)
	EventStream      // server-sent events
	Array            // one JSON array whose elements are streamed
	Binary           // audio and other bytes
	Plain            // text
	numForms
)

var formNames = [numForms]string{"unknown", "document", "lines", "event stream", "array", "binary", "plain"}

// String returns the lower-case name of the form.
func (f Form) String() string {
	if f < numForms {
		return formNames[f]
	}
	return "unknown"
}

// FormOf returns the form that a content type promises. Its parameters are
// ignored. It returns UnknownForm for types that promise nothing, such as "",
// text/plain and application/octet-stream, and for types that are not known.
func FormOf(contentType string) Form {
	switch contentType { // most often
	case "application/json":
		return Document
	case "text/event-stream":
		return EventStream
	}
	if n := strings.IndexByte(contentType, ';'); n >= 0 {
		contentType = contentType[:n]
	}
	kind, sub, _ := strings.Cut(strings.Trim(contentType, " \t"), "/")
	switch {
	case kind == "" || sub == "" || strings.ContainsAny(sub, "/, \t"):
		return UnknownForm
	case strings.EqualFold(kind, "application"):
		return applicationForm(sub)
	case strings.EqualFold(kind, "text"):
		switch {
		case strings.EqualFold(sub, "event-stream"):
			return EventStream
		case strings.EqualFold(sub, "plain"):
			return UnknownForm
		case strings.EqualFold(sub, "json"):
			return Document
		}
		return Plain
	case strings.EqualFold(kind, "audio"), strings.EqualFold(kind, "image"), strings.EqualFold(kind, "video"):
		return Binary
	}
	return jsonSuffix(sub)
}

// lineTypes are the names of newline-delimited JSON, of which none is registered.
var lineTypes = [...]string{
	"x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines", "json-lines", "x-json-lines",
	"stream+json", // Cohere's old chat
}

func applicationForm(sub string) Form {
	if strings.EqualFold(sub, "json") {
		return Document
	}
	for _, name := range lineTypes {
		if strings.EqualFold(sub, name) {
			return Lines
		}
	}
	return jsonSuffix(sub)
}

// jsonSuffix returns Document if a subtype ends with +json.
func jsonSuffix(sub string) Form {
	const suffix = "+json"
	if n := len(sub) - len(suffix); n > 0 && strings.EqualFold(sub[n:], suffix) {
		return Document
	}
	return UnknownForm
}

// eventFields are the beginnings of a line of an event stream.
var eventFields = [...]string{"data:", "event:", "id:", "retry:", ":"}

// Sniff returns the form that the first bytes of a body show. It skips a byte
// order mark and white space. It returns UnknownForm for text, and for bytes that
// are too few to decide.
func Sniff(first []byte) Form {
	first = bytes.TrimPrefix(first, []byte("\ufeff"))
	first = bytes.TrimLeft(first, " \t\r\n")
	if len(first) == 0 {
		return UnknownForm
	}
	switch first[0] {
	case '{':
		return Document
	case '[':
		return Array
	case '<':
		return Plain
	}
	for _, field := range eventFields {
		if len(first) >= len(field) && string(first[:len(field)]) == field {
			return EventStream
		}
	}
	return UnknownForm
}

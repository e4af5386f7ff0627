package answer

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

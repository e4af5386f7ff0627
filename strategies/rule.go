package strategies

import "fmt"

// Rule sends the requests that it describes to one arm, whatever the weights
// say: testers to a preview, one customer to the version that they know.
// Exactly one of Header, Cookie, Query and Unit is set.
//
// Who may set the header decides who may choose: let a proxy in front remove it
// from requests of the public.
type Rule struct {
	// Arm serves the requests that the rule holds for.
	Arm string `json:"arm"`
	// Header, Cookie and Query name what is looked at in the request.
	Header string `json:"header,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	Query  string `json:"query,omitempty"`
	// Value is what it must hold, compared byte by byte. Empty means that any
	// value that is not empty will do.
	Value string `json:"value,omitempty"`
	// Unit is the user, tenant or conversation that the rule is about.
	Unit string `json:"unit,omitempty"`
}

func (r Rule) problems(bad func(field string, value any, want string), arms map[string]bool) {
	if !arms[r.Arm] {
		bad("Arm", fmt.Sprintf("%q", r.Arm), "an arm of the split")
	}
	set := 0
	for _, name := range []string{r.Header, r.Cookie, r.Query, r.Unit} {
		if name != "" {
			set++
		}
	}
	if set != 1 {
		bad("Header", fmt.Sprintf("%+v", r), "exactly one of Header, Cookie, Query and Unit")
	}
	if r.Unit != "" && r.Value != "" {
		bad("Value", fmt.Sprintf("%q", r.Value), "no value for a rule about a unit")
	}
}

// Mirror copies a share of the live requests to an arm. The copy's answer is
// measured and thrown away; the caller neither sees it nor waits for it.
type Mirror struct {
	// Arm receives the copies. It is not the baseline.
	Arm string `json:"arm"`
	// Share of the requests that are copied, from 1 (0.01 %) to [Full].
	Share Weight `json:"share"`
}

func (m Mirror) problems(bad func(field string, value any, want string), arms map[string]bool, baseline string) {
	if !arms[m.Arm] || m.Arm == baseline {
		bad("Arm", fmt.Sprintf("%q", m.Arm), "an arm of the split that is not its baseline")
	}
	if m.Share == 0 || m.Share > Full {
		bad("Share", uint32(m.Share), fmt.Sprintf("1 to %d (hundredths of a percent)", Full))
	}
}

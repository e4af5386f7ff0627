package httproute

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// route is an HTTPRoute. The rules are kept as they were read, also what is in
// them that this package knows nothing of.
type route struct {
	version    string // resourceVersion
	generation int64
	rules      []map[string]any
	parents    []parent
}

// parent is what one gateway says of the route.
type parent struct {
	ParentRef  struct{ Name string }
	Conditions []struct {
		Type, Status, Reason, Message string
		ObservedGeneration            int64
	}
}

func parse(object []byte) (*route, error) {
	var o struct {
		Kind     string
		Metadata struct {
			ResourceVersion string
			Generation      int64
		}
		Spec   struct{ Rules []map[string]any }
		Status struct{ Parents []parent }
	}
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber() // numbers go back as they came
	if err := d.Decode(&o); err != nil {
		return nil, &RouteError{Path: ".", Reason: fmt.Sprintf("the answer is not an HTTPRoute: %v", err)}
	}
	if o.Kind != "HTTPRoute" {
		return nil, &RouteError{Path: "kind", Reason: fmt.Sprintf("the answer is not an HTTPRoute (have %.40q)", o.Kind)}
	}
	if o.Metadata.ResourceVersion == "" {
		return nil, &RouteError{Path: "metadata.resourceVersion", Reason: "the answer has none"}
	}
	return &route{version: o.Metadata.ResourceVersion, generation: o.Metadata.Generation, rules: o.Spec.Rules, parents: o.Status.Parents}, nil
}

// patch returns the merge patch that sets the rules, on the condition that the
// route is still the one that was read.
func (r *route) patch(rules []map[string]any) any {
	return map[string]any{
		"metadata": map[string]any{"resourceVersion": r.version},
		"spec":     map[string]any{"rules": rules},
	}
}

// weighted returns the rules with new weights, and whether any differs. want
// holds a weight for each backendRef, serves those that must be in each rule.
func (r *route) weighted(ruleName string, want map[string]int64, serves []string) ([]map[string]any, bool, error) {
	rules := slices.Clone(r.rules)
	var errs []error
	bad := func(path, format string, args ...any) {
		errs = append(errs, &RouteError{Path: path, Reason: fmt.Sprintf(format, args...)})
	}
	found, changed := 0, false
	for i, rule := range rules {
		refs, _ := rule["backendRefs"].([]any)
		named, _ := rule["name"].(string)
		if ruleName != "" && named != ruleName || ruleName == "" && !mentions(refs, want) {
			continue
		}
		found++
		refs = slices.Clone(refs)
		seen := map[string]bool{}
		for j, e := range refs {
			at := fmt.Sprintf("spec.rules[%d].backendRefs[%d]", i, j)
			ref, ok := e.(map[string]any)
			n, _ := ref["name"].(string)
			if !ok || n == "" {
				bad(at+".name", "missing")
				continue
			}
			have, err := weightOf(ref)
			w, ours := want[n]
			switch {
			case err != nil:
				bad(at+".weight", "%v", err)
			case ours && seen[n]:
				bad(at+".name", "the rule has %s twice", n)
			case !ours && have != 0:
				bad(at+".weight", "%s belongs to no arm and would take traffic from all arms (have %d, want 0)", n, have)
			case ours && have != w:
				ref = maps.Clone(ref)
				ref["weight"] = json.Number(strconv.FormatInt(w, 10))
				refs[j], changed = ref, true
			}
			seen[n] = true
		}
		for _, n := range serves {
			if !seen[n] {
				bad(fmt.Sprintf("spec.rules[%d].backendRefs", i), "missing %s (have %s)", n, strings.Join(slices.Sorted(maps.Keys(seen)), ", "))
			}
		}
		rules[i] = maps.Clone(rule)
		rules[i]["backendRefs"] = refs
	}
	switch {
	case found == 0 && ruleName != "":
		bad("spec.rules", "no rule is named %s", ruleName)
	case found == 0:
		bad("spec.rules", "no rule has a backendRef %s", strings.Join(serves, ", "))
	}
	return rules, changed, errors.Join(errs...)
}

func mentions(refs []any, want map[string]int64) bool {
	return slices.ContainsFunc(refs, func(e any) bool {
		ref, _ := e.(map[string]any)
		n, _ := ref["name"].(string)
		_, ok := want[n]
		return ok
	})
}

// weightOf returns the weight of a backendRef, 1 if it has none.
func weightOf(ref map[string]any) (int64, error) {
	v, ok := ref["weight"]
	if !ok || v == nil {
		return 1, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return 0, fmt.Errorf("have %v, want a number", v)
	}
	w, err := n.Int64()
	if err != nil || w < 0 || w > math.MaxInt32 {
		return 0, fmt.Errorf("have %s, want 0 to 1000000", n)
	}
	return w, nil
}

// accepted reports whether every gateway has taken over this generation. refused
// says that one never will; why says what is missing.
func (r *route) accepted() (ok, refused bool, why string) {
	if len(r.parents) == 0 {
		return false, false, "no gateway has written a status"
	}
	for _, p := range r.parents {
		for _, condition := range []string{"Accepted", "ResolvedRefs"} {
			state := "gateway " + p.ParentRef.Name + " has not said that it is " + condition
			good := false
			for _, c := range p.Conditions {
				switch {
				case c.Type != condition:
				case c.ObservedGeneration < r.generation:
					state = fmt.Sprintf("gateway %s is at generation %d of %d", p.ParentRef.Name, c.ObservedGeneration, r.generation)
				case c.Status == "True":
					good = true
				case c.Status == "False":
					return false, true, fmt.Sprintf("gateway %s says %s is False: %s: %.200s", p.ParentRef.Name, condition, c.Reason, c.Message)
				}
			}
			if !good {
				return false, false, state
			}
		}
	}
	return true, false, ""
}

// describe lists the weights of all rules.
func (r *route) describe() string {
	var b strings.Builder
	for i, rule := range r.rules {
		refs, _ := rule["backendRefs"].([]any)
		for _, e := range refs {
			ref, _ := e.(map[string]any)
			w, _ := weightOf(ref)
			fmt.Fprintf(&b, "rules[%d] %.80v %d, ", i, ref["name"], w)
		}
	}
	return strings.TrimSuffix(b.String(), ", ")
}

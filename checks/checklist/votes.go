package checklist

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/quorum"
)

// starter reports whether p is the person who started the rollout.
func (e *evaluation) starter(p Person) bool {
	s := e.subject.Starter
	return s != "" && (quorum.Person(p.Subject, p.Name) == s || quorum.Person("", p.Name) == quorum.Person("", s) ||
		p.Subject == "" && e.subject.StarterName != "" && quorum.Same("", p.Name, "", e.subject.StarterName))
}

func (p Person) show() string { return cmp.Or(p.Name, p.Subject) }

// same reports whether two records are of one person.
func same(a, b Person) bool { return quorum.Same(a.Subject, a.Name, b.Subject, b.Name) }

// words returns the last word of each person about the subject.
func (e *evaluation) words(i *Item, records []ranked) (last []ranked, other string) {
	for _, r := range slices.Backward(records) {
		if r.Kind != Vote {
			continue
		}
		if text := e.about(i.Scope, r.Record); text != "" {
			other = cmp.Or(other, text)
			continue
		}
		if !slices.ContainsFunc(last, func(l ranked) bool { return same(l.By, r.By) }) {
			last = append(last, r)
		}
	}
	return last, other
}

// votes evaluates what people say about an item. The last word of each person counts. If it
// was withdrawn, or does not count, the person has said nothing.
func (e *evaluation) votes(i *Item, records []ranked) half {
	if m := e.missing(i.Scope); m != "" {
		return half{text: m, lacking: true}
	}
	a, rules := i.Attest, i.Attest.rules()
	last, why := e.words(i, records)
	var votes []Record
	for _, r := range last {
		if r.gone {
			continue
		}
		reject := r.Result.Status == checks.Fail
		text := a.refuses(e, rules, quorum.Person(r.By.Subject, r.By.Name), r.Record)
		if text == "" && !reject { // a rejection counts whatever its time
			text = e.future(r.Record)
		}
		switch {
		case text != "":
			why = text
		case reject:
			return half{state: Fail, text: strings.TrimSuffix("rejected by "+r.By.show()+": "+r.Reason, ": "), people: []string{r.By.show()}, since: r.At}
		default:
			votes = append(votes, r.Record)
		}
	}
	// The votes that hold longest come first.
	slices.SortFunc(votes, func(x, y Record) int {
		return cmp.Or(y.until(a).Compare(x.until(a)), cmp.Compare(y.Seq, x.Seq), cmp.Compare(x.By.show(), y.By.show()))
	})
	var roles [][]string
	for n, r := range votes {
		roles = append(roles, r.By.Roles)
		if missing, _ := quorum.Place(rules, roles); len(missing) > 0 {
			continue
		}
		h := half{state: Pass, till: r.until(a), since: r.At, link: votes[0].Link, sum: votes[0].Sum}
		for _, v := range votes[:n+1] {
			h.people = append(h.people, v.By.show())
			if v.At.Before(h.since) {
				h.since = v.At
			}
			if h.link == "" {
				h.link, h.sum = v.Link, v.Sum
			}
		}
		slices.Sort(h.people)
		h.text = "vouched for by " + strings.Join(h.people, ", ")
		if !e.now.Before(h.till) {
			h.state, h.text = Expired, h.text+", and expired "+stamp(h.till)
		}
		return h
	}
	missing, placed := quorum.Place(rules, roles)
	need := 0
	for _, r := range rules {
		need += r.Need
	}
	words := make([]string, len(missing))
	for k, m := range missing {
		words[k] = m.String()
	}
	text := fmt.Sprintf("%d of %d votes, still needed: %s", placed, need, strings.Join(words, ", "))
	if why != "" {
		text += "; " + why
	}
	return half{text: text, lacking: true}
}

// until is the end of a vote.
func (r Record) until(a *Attest) time.Time { return earliest(r.At.Add(a.valid()), r.Until) }

// refuses says why a vote does not count, or "".
func (a *Attest) refuses(e *evaluation, rules []quorum.Rule, person string, r Record) string {
	reject := r.Result.Status == checks.Fail
	switch {
	case person == "":
		return "a vote has no person"
	case r.Result.Status != checks.Pass && !reject:
		return "the vote of " + r.By.show() + " neither vouches nor rejects"
	case !slices.ContainsFunc(rules, func(q quorum.Rule) bool { return q.Takes(r.By.Roles) }):
		return r.By.show() + " has none of the roles that may vouch"
	case reject:
		return ""
	case a.Others && e.subject.Starter == "":
		return "it is not known who started the rollout"
	case a.Others && e.starter(r.By):
		return r.By.show() + " started the rollout, and others must vouch"
	case a.MFA > 0 && r.By.Proved.IsZero():
		return r.By.show() + " has not proved a second factor"
	case a.MFA > 0 && (r.At.Sub(r.By.Proved) > a.MFA || r.By.Proved.Sub(r.At) > clockSkew):
		return fmt.Sprintf("the second factor of %s was proved %v before the vote, want at most %v", r.By.show(), r.At.Sub(r.By.Proved).Round(time.Second), a.MFA)
	case a.Proof && (r.Link == "" || !digest(r.Sum)):
		return "the vote of " + r.By.show() + " has no proof: a link and its sha256"
	}
	return ""
}

// digest reports whether s is "sha256:" with 64 hexadecimal digits.
func digest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

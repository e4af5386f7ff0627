package console

import (
	"cmp"
	"errors"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/internal/situation"
)

func isNotFound(err error) bool { return errors.Is(err, rollout.ErrNotFound) }

// row is one target on the first page.
type row struct {
	Target, Href, ID string
	Versions         string
	Sit              situation.Situation
	Bar              template.HTML
	Stage            string
	Alerts           int
}

// rows returns the targets that the caller may read, those that need a person first.
func (v *visit) rows() ([]row, error) {
	targets, err := v.targets(v.r.Context())
	if err != nil {
		return nil, err
	}
	firing := v.firing()
	var all []row
	for _, name := range targets {
		if !v.reads(name) {
			continue
		}
		x := row{Target: name, Href: v.cfg.Prefix + "/" + name, Alerts: firing[name]}
		st, err := v.cfg.Engine.Newest(v.r.Context(), name)
		switch {
		case err == nil:
			base, cand, _ := names(st)
			x.ID, x.Versions, x.Sit, x.Bar = string(st.ID), base+" → "+cand, v.sit(v.r.Context(), st), bar(st.Split)
			if !st.Phase.Terminal() && st.Stage < len(st.Plan.Stages) {
				x.Stage = st.Plan.Stages[st.Stage].Name
			}
		case isNotFound(err):
			x.Sit = situation.Never(name)
		default:
			x.Sit = situation.Unread(name, err, rollout.Status{}, situation.Facts{Now: time.Now(), Zone: v.cfg.Zone})
		}
		all = append(all, x)
	}
	slices.SortStableFunc(all, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.Sit.Urgency, a.Sit.Urgency), cmp.Compare(b.Alerts, a.Alerts), strings.Compare(a.Target, b.Target))
	})
	return all, nil
}

// home answers with the page of all targets.
func (v *visit) home() {
	all, err := v.rows()
	if err != nil {
		v.fail(err)
		return
	}
	title, see := v.cfg.Title, []string{}
	for i, x := range all {
		if x.Sit.Urgency >= situation.Person && i == 0 {
			title = x.Sit.Glyph + " " + x.Target + " " + x.Sit.Short
		}
		if i < 20 {
			see = append(see, x.Target)
		}
	}
	v.show(200, "home", page{Title: title, See: strings.Join(see, ","), At: time.Now(), Main: all})
}

// firing returns how many alerts fire, by target.
func (v *visit) firing() map[string]int {
	all := make(map[string]int)
	if v.cfg.Alerts != nil {
		for _, a := range v.cfg.Alerts.Firing() {
			all[a.Labels["target"]]++
		}
	}
	return all
}

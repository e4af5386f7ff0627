// Package packs has the controls of regulations and standards as data, and shows which of
// them the items of a checklist cover: GDPR, CCPA, EU AI Act, NIST AI RMF, ISO/IEC 42001
// and SOC 2. What it shows is engineering evidence, not legal advice.
//
//	gdpr, _ := packs.Get("gdpr")
//	list, err := checklist.New("compliance",
//		checklist.Section{Name: "security", Items: []checklist.Item{
//			{ID: "encryption", Owner: "eve", Check: tls, Controls: []string{"gdpr:32", "soc2:CC6.7"}},
//		}},
//	)
//	coverage, err := packs.Cover(list, gdpr)
//	for _, c := range coverage.Missing() {
//		fmt.Println(c.Control, c.Title, c.Suggested)
//	}
//
// An item names a control by pack, colon and control, such as "gdpr:32". It may name any
// number of controls.
//
// # Packs
//
// [All] returns the ready packs: gdpr, ccpa, aiact, nist-ai-rmf, iso42001 and soc2. Each one
// names what it was checked against, and on which day: public summaries, not the official
// texts. A [Pack] is plain data: a program may change its copy, or read packs of its own
// with [Parse]:
//
//	{
//	  "id": "house", "title": "House rules", "version": "1", "checked": "2026-11-29",
//	  "source": "handbook, chapter 3",
//	  "controls": [
//	    {"id": "7", "title": "Second reader", "items": ["review: another team vouches"], "why": "Two people find more."}
//	  ]
//	}
//
// # Dates
//
// A control applies from 00:00 UTC of its date, or of the date of its pack, or always if
// neither has a date. Before that, it informs and does not fail a [Check]; if no control
// applies yet, a Check is Unknown. The high-risk
// duties of the AI Act have the date of Annex III, 2 December 2027. For products of Annex I,
// 2 August 2028 applies; such a program sets Control.AppliesFrom of its copy.
//
// This package uses only the standard library.
package packs

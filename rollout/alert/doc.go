// Package alert sends alerts about rollouts to people, and rehearses that they arrive. It groups, repeats, silences and resolves alerts, and counts security
// events.
//
//	slack, err := notify.NewSlack(notify.Secret(os.Getenv("SLACK_WEBHOOK")))
//	manager, err := alert.New(alert.Config{
//		Store:     store,
//		Receivers: map[string]alert.Notifier{"slack": slack, "log": notify.Log(logger)},
//	})
//	go manager.Run(ctx)
//	engine, err := rollout.Open(ctx, rollout.Config{
//		Sinks:   map[string]rollout.Sink{"alerts": manager},
//		Refused: manager.Refused,
//	})
//
// A [Manager] pages when a person must act, and informs when something has happened: a rollback
// that worked does not page, and a rollback that is not in force does.
//
// # Alerts
//
// Events of rollouts become alerts by [Manager.Notify], conditions by a [Rule], and everything
// else by [Manager.Set]. RUNBOOKS.md lists when each alert fires and ends, and what to do.
//
// Critical alerts are sent within a second, ten of a group at a time, and wait for no other
// message: a message that is not critical, or hangs, makes room. Others wait 10 s for company,
// and a group has at most one message a minute, with up to ten alerts; further ones go into
// the next. The end of an alert is sent once, to the receivers that got its beginning. A
// source that says nothing is not healthy: its alerts go on, marked Unknown.
//
// Up to 1,000 alerts are kept. Further ones are counted, up to 10,000 by a fingerprint each,
// and one alert named AlertStorm stands for them. See [Manager.Counts].
//
// # State
//
// What fires, and what each receiver was sent, is one document of a [rollout.Store], changed by
// compare-and-set. A restart neither forgets nor repeats anything, and of several processes
// with one store one sends each message. A process that dies between the sending and the
// storing has the message sent again, with the same [Notification.Key], by which receivers
// remove repetitions.
//
// # Dependencies
//
// Package checklist for evidence that lapses, burn for error budgets, anomaly for series, and
// the standard library.
//
// # What belongs here
//
// Alerts, and the way to people. Package notify has the receivers. What an alert is about
// belongs to the package that measures it: packages above this one, such as ledger and access,
// come in by a [RuleFunc], by Set or by [Manager.Security].
package alert

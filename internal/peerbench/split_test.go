package peerbench

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"testing"

	"github.com/growthbook/growthbook-golang"
	"github.com/launchdarkly/go-sdk-common/v3/ldcontext"
	"github.com/launchdarkly/go-sdk-common/v3/ldvalue"
	evaluation "github.com/launchdarkly/go-server-sdk-evaluation/v3"
	"github.com/launchdarkly/go-server-sdk-evaluation/v3/ldbuilders"
	"github.com/launchdarkly/go-server-sdk-evaluation/v3/ldmodel"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/memprovider"

	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// flags is a LaunchDarkly data provider with one flag.
type flags struct{ flag *ldmodel.FeatureFlag }

func (f flags) GetFeatureFlag(string) *ldmodel.FeatureFlag { return f.flag }
func (flags) GetSegment(string) *ldmodel.Segment           { return nil }

// router splits 95 to 5 between two versions.
func router(tb testing.TB, rules ...strategies.Rule) *traffic.Router {
	r, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{"1.4.0": {}, "1.5.0": {}},
		Split: strategies.Split{
			Salt: "chat/1", Rules: rules,
			Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Percent(95)}, {Name: "1.5.0", Weight: strategies.Percent(5)}},
		},
		Unit:         func(r *http.Request) string { return r.Header["X-User"][0] },
		Tenant:       func(r *http.Request) string { return r.Header["X-Tenant"][0] },
		Conversation: func(r *http.Request) string { return r.Header["X-Conversation"][0] },
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func launchDarkly() (evaluation.Evaluator, *ldmodel.FeatureFlag) {
	flag := ldbuilders.NewFlagBuilder("chat").On(true).Salt("chat/1").
		Variations(ldvalue.String("1.4.0"), ldvalue.String("1.5.0")).
		Fallthrough(ldbuilders.Rollout(ldbuilders.Bucket(0, 95_000), ldbuilders.Bucket(1, 5_000))).Build()
	return evaluation.NewEvaluator(flags{&flag}), &flag
}

func growthBook(tb testing.TB) *growthbook.Client {
	client, err := growthbook.NewClient(context.Background(), growthbook.WithJsonFeatures(
		`{"chat":{"defaultValue":"1.4.0","rules":[{"variations":["1.4.0","1.5.0"],"weights":[0.95,0.05],"coverage":1,"hashAttribute":"id","hashVersion":2,"seed":"chat/1"}]}}`))
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// openFeature is the SDK with its in-memory provider; the split itself, which it
// leaves to who writes the flag, is the cheapest there is.
func openFeature(tb testing.TB) *openfeature.Client {
	evaluate := func(_ memprovider.InMemoryFlag, flat openfeature.FlattenedContext) (any, openfeature.ProviderResolutionDetail) {
		h := fnv.New32a()
		_, _ = h.Write([]byte(flat[openfeature.TargetingKey].(string))) // never fails
		if h.Sum32()%100 < 95 {
			return "1.4.0", openfeature.ProviderResolutionDetail{Variant: "1.4.0", Reason: openfeature.SplitReason}
		}
		return "1.5.0", openfeature.ProviderResolutionDetail{Variant: "1.5.0", Reason: openfeature.SplitReason}
	}
	provider := memprovider.NewInMemoryProvider(map[string]memprovider.InMemoryFlag{
		"chat": {Key: "chat", State: memprovider.Enabled, DefaultVariant: "1.4.0", Variants: map[string]any{"1.4.0": "1.4.0", "1.5.0": "1.5.0"}, ContextEvaluator: &evaluate},
	})
	if err := openfeature.SetNamedProviderAndWait("bench", provider); err != nil {
		tb.Fatal(err)
	}
	return openfeature.NewClient("bench")
}

var users = func() (list [1024]string) {
	for i := range list {
		list[i] = fmt.Sprintf("user-%06d", i)
	}
	return list
}()

// deciders are one decision of each library: which version a user meets.
func deciders(tb testing.TB) map[string]func(user string) string {
	r := router(tb)
	ld, flag := launchDarkly()
	gb := growthBook(tb)
	of := openFeature(tb)
	ctx := context.Background()
	return map[string]func(string) string{
		"serin": r.Arm,
		"launchdarkly": func(user string) string {
			return ld.Evaluate(flag, ldcontext.New(user), nil).Detail.Value.StringValue()
		},
		"growthbook": func(user string) string {
			child, err := gb.WithAttributes(growthbook.Attributes{"id": user})
			if err != nil {
				return err.Error()
			}
			v, _ := child.EvalFeature(ctx, "chat").Value.(string)
			return v
		},
		"openfeature": func(user string) string {
			return of.String(ctx, "chat", "", openfeature.NewTargetlessEvaluationContext(map[string]any{openfeature.TargetingKey: user}))
		},
	}
}

// TestDeciders: the benchmark measures decisions, not errors.
func TestDeciders(t *testing.T) {
	for name, decide := range deciders(t) {
		count := map[string]int{}
		for i := range 20_000 {
			count[decide(fmt.Sprint("user-", i))]++
		}
		if n := count["1.5.0"]; n < 700 || n > 1300 || count["1.4.0"] != 20_000-n {
			t.Errorf("%s: %v of 20000, want about 5 %%", name, count)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	all := deciders(b)
	for _, name := range []string{"serin", "launchdarkly", "growthbook", "openfeature"} {
		decide := all[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				decide(users[i%len(users)])
			}
		})
	}
}

// BenchmarkDecideByRules has rules about a header, the tenant and the
// conversation, none of which holds, before the split by user.
func BenchmarkDecideByRules(b *testing.B) {
	r := router(b,
		strategies.Rule{Header: "X-Beta", Value: "yes", Arm: "1.5.0"},
		strategies.Rule{Unit: "tenant-7", Arm: "1.5.0"},
		strategies.Rule{Unit: "conversation-7", Arm: "1.4.0"},
	)
	req, _ := http.NewRequest(http.MethodPost, "http://gateway/v1/chat/completions", nil)
	req.Header.Set("X-User", "user-000001")
	req.Header.Set("X-Tenant", "tenant-1")
	req.Header.Set("X-Conversation", "conversation-1")
	req.Header.Set("X-Beta", "no")
	b.Run("serin", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.ArmOf(req)
		}
	})
	rule := func(attribute, value string, variation int) *ldbuilders.RuleBuilder {
		return ldbuilders.NewRuleBuilder().Clauses(ldbuilders.Clause(attribute, ldmodel.OperatorIn, ldvalue.String(value))).Variation(variation)
	}
	flag := ldbuilders.NewFlagBuilder("chat").On(true).Salt("chat/1").
		AddRule(rule("beta", "yes", 1)).AddRule(rule("tenant", "tenant-7", 1)).AddRule(rule("conversation", "conversation-7", 0)).
		Variations(ldvalue.String("1.4.0"), ldvalue.String("1.5.0")).
		Fallthrough(ldbuilders.Rollout(ldbuilders.Bucket(0, 95_000), ldbuilders.Bucket(1, 5_000))).Build()
	ld := evaluation.NewEvaluator(flags{&flag})
	b.Run("launchdarkly", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			user := ldcontext.NewBuilder(req.Header["X-User"][0]).SetString("beta", req.Header["X-Beta"][0]).
				SetString("tenant", req.Header["X-Tenant"][0]).SetString("conversation", req.Header["X-Conversation"][0]).Build()
			ld.Evaluate(&flag, user, nil)
		}
	})
}

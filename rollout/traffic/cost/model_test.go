package cost_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic/cost"
)

// model is a ledger in the plainest form: tenants in the order of use, each with all
// that it has ever spent.
type model struct {
	size    int
	tenants []modelTenant // the one seen last comes last
	common  []modelCost
}

type modelTenant struct {
	name  string
	costs []modelCost
}

type modelCost struct {
	step  int64
	money analysis.Money
}

func modelSum(costs []modelCost, now int64) (sum analysis.Money) {
	for _, c := range costs {
		if c.step > now-24 {
			sum += c.money
		}
	}
	return sum
}

func (m *model) observe(name string, money analysis.Money, now int64) {
	spent := modelCost{now, money}
	at := slices.IndexFunc(m.tenants, func(t modelTenant) bool { return t.name == name })
	var t modelTenant
	switch {
	case at >= 0:
		t = m.tenants[at]
		m.tenants = slices.Delete(m.tenants, at, at+1)
	case len(m.tenants) == m.size && modelSum(m.tenants[0].costs, now) != 0:
		m.common = append(m.common, spent)
		return
	case len(m.tenants) == m.size:
		m.tenants = m.tenants[1:]
	}
	m.tenants = append(m.tenants, modelTenant{name, append(t.costs, spent)})
}

// TestLedgerIsTheModel compares a ledger with the model after random observations.
func TestLedgerIsTheModel(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			m := &model{size: 1 + rnd.IntN(12)}
			l := newLedger(t, cost.Config{Tenants: m.size, Window: 24 * time.Second})
			for i := range 2_000 {
				name, money := fmt.Sprint("tenant-", rnd.IntN(20)), analysis.Money(rnd.IntN(3))
				pay(l, "1", name, money)
				m.observe(name, money, time.Now().Unix())
				if rnd.IntN(5) == 0 {
					time.Sleep(time.Duration(rnd.Int64N(int64(10 * time.Second))))
				}
				now := time.Now().Unix()
				if got, want := l.Spent(""), modelSum(m.common, now); got != want {
					t.Fatalf("seed %d, observation %d: the common account has %d, want %d", seed, i, got, want)
				}
				sum := l.Spent("")
				for n := range 20 {
					name := fmt.Sprint("tenant-", n)
					var want analysis.Money
					if at := slices.IndexFunc(m.tenants, func(t modelTenant) bool { return t.name == name }); at >= 0 {
						want = modelSum(m.tenants[at].costs, now)
					}
					if got := l.Spent(name); got != want {
						t.Fatalf("seed %d, observation %d: %s has spent %d, want %d", seed, i, name, got, want)
					}
					sum += want
				}
				if total := l.Total(); total != sum || l.Stats().Tenants != len(m.tenants) {
					t.Fatalf("seed %d, observation %d: total %d, want %d; %d tenants, want %d", seed, i, total, sum, l.Stats().Tenants, len(m.tenants))
				}
			}
		})
	}
}

package pgstore_test

import (
	"context"
	"os"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/pgstore"
	"github.com/serin-go/serin/rollout/storetest/proctest"
)

const urlVariable = "SERIN_TEST_URL"

func openHere(ctx context.Context) (rollout.Store, error) {
	return pgstore.Open(ctx, pgstore.Config{URL: os.Getenv(urlVariable)})
}

func TestMain(m *testing.M) { proctest.Main(m, openHere) }

func TestKilled(t *testing.T) { proctest.Killed(t, openHere, urlVariable+"="+serve(t).url) }

func TestThreeProcesses(t *testing.T) {
	proctest.ThreeProcesses(t, openHere, urlVariable+"="+serve(t).url)
}

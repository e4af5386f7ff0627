package boltstore_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/storetest/proctest"
)

const (
	pathVariable   = "SERIN_TEST_PATH"
	noSyncVariable = "SERIN_TEST_NO_SYNC"
)

func openHere(context.Context) (rollout.Store, error) {
	return boltstore.New(boltstore.Config{Path: os.Getenv(pathVariable), DangerouslyNoSync: os.Getenv(noSyncVariable) != ""})
}

func TestMain(m *testing.M) { proctest.Main(m, openHere) }

func TestKilled(t *testing.T) {
	proctest.Killed(t, openHere, pathVariable+"="+filepath.Join(t.TempDir(), "serin.db"))
}

// Without an fsync nothing is lost, either, when it is the process that dies.
func TestKilledWithoutSync(t *testing.T) {
	proctest.Killed(t, openHere, pathVariable+"="+filepath.Join(t.TempDir(), "serin.db"), noSyncVariable+"=1")
}

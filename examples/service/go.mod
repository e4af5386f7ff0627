module github.com/serin-go/serin/examples/service

go 1.26.0

require (
	github.com/openai/openai-go/v3 v3.96.0
	github.com/serin-go/serin v0.0.0
	github.com/serin-go/serin/rollout/pgstore v0.0.0
	github.com/sethvargo/go-envconfig v1.4.3
	golang.org/x/sync v0.24.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.12.0 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/tidwall/gjson v1.20.0 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace (
	github.com/serin-go/serin => ../..
	github.com/serin-go/serin/rollout/pgstore => ../../rollout/pgstore
)

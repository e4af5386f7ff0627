module github.com/serin-go/serin/internal/peerbench

go 1.26.0

require (
	github.com/DataDog/sketches-go v1.4.8
	github.com/HdrHistogram/hdrhistogram-go v1.4.0
	github.com/Masterminds/semver/v3 v3.5.0
	github.com/blang/semver/v4 v4.0.0
	github.com/hashicorp/go-version v1.9.0
	github.com/serin-go/serin v0.0.0
	golang.org/x/mod v0.42.0
)

require google.golang.org/protobuf v1.36.11 // indirect

replace github.com/serin-go/serin => ../..

package versioning_test

import (
	"fmt"

	"github.com/serin-go/serin/versioning"
)

func ExampleParseCommit() {
	c, err := versioning.ParseCommit("fix(api)!: refuse empty names (#7)\n\nBREAKING CHANGE: an empty name is an error\nCloses #6")
	fmt.Println(c.Type, c.Scope, c.Breaking, err)
	fmt.Println(c.Breaks(), c.References())
	// Output:
	// fix api true <nil>
	// [an empty name is an error] [{  7} {Closes  6}]
}

package versioning_test

import (
	"fmt"

	"github.com/serin-go/serin/versioning"
)

func ExampleParseRange() {
	r, err := versioning.ParseRange("^1.2 || >=3.0.0-rc.1 <4")
	fmt.Println(r, err)
	fmt.Println(r.Contains(versioning.MustParse("1.9.0")), r.Contains(versioning.MustParse("3.1.0-rc.1")))
	// Output:
	// >=1.2.0 <2.0.0-0||>=3.0.0-rc.1 <4.0.0-0 <nil>
	// true false
}

func ExampleRange_Explain() {
	r := versioning.MustParseRange("~1.2.3")
	fmt.Println(r.Explain(versioning.MustParse("1.3.0")))
	// Output: versioning: version 1.3.0: not in range "~1.2.3": not <1.3.0-0
}

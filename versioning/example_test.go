package versioning_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/serin-go/serin/versioning"
)

func ExampleParse() {
	v, err := versioning.Parse("1.4.0-rc.2+b77")
	fmt.Println(v.Prerelease(), err)

	_, err = versioning.Parse("v1.4")
	var bad *versioning.ParseError
	if errors.As(err, &bad) {
		fmt.Println(bad.Reason, "error at byte", bad.Pos)
	}
	// Output:
	// rc.2 <nil>
	// syntax error at byte 0
}

func ExampleVersion_Compare() {
	versions := []versioning.Version{
		versioning.MustParse("1.0.0"),
		versioning.MustParse("1.0.0-rc.11"),
		versioning.MustParse("1.0.0-rc.2"),
	}
	slices.SortFunc(versions, versioning.Version.Compare)
	fmt.Println(versions)
	// Output: [1.0.0-rc.2 1.0.0-rc.11 1.0.0]
}

func ExampleVersion_Next() {
	v := versioning.MustParse("1.4.0")
	fmt.Println(v.Next(versioning.Patch), v.Next(versioning.Minor), v.Next(versioning.Major))
	// Output: 1.4.1 1.5.0 2.0.0
}

func ExampleRelease() {
	r := versioning.Release{Model: "chat", Version: versioning.MustParse("1.5.0")}
	fmt.Println(r)
	fmt.Println(r.Arm())
	// Output:
	// chat 1.5.0
	// 1.5.0
}

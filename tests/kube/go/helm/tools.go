//go:build tools

// Package tools names the program that the tests need, for go.mod to have what it is built of.
package tools

import _ "helm.sh/helm/v3/cmd/helm"

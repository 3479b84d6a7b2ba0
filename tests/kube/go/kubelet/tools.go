//go:build tools

// Package tools names the program that the tests need, for go.mod to have what it is built of.
package tools

import _ "k8s.io/kubernetes/cmd/kubelet"

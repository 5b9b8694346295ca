// Package random makes names that do not collide.
package random

import "math/rand/v2"

const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// UniqueId returns six random letters and digits.
func UniqueId() string {
	id := make([]byte, 6)
	for i := range id {
		id[i] = letters[rand.IntN(len(letters))]
	}
	return string(id)
}

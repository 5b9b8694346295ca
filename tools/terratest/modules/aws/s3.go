// Package aws asks S3 for a test: credentials and endpoint come from the usual variables and files.
package aws

import (
	"context"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// NewS3Client returns a client for S3.
func NewS3Client(t testing.TB, region string) *s3.Client {
	settings, err := config.LoadDefaultConfig(context.Background(), config.WithRegion(region))
	if err != nil {
		t.Fatal(err)
	}
	return s3.NewFromConfig(settings)
}

// AssertS3BucketExists fails the test where there is no such bucket.
func AssertS3BucketExists(t testing.TB, region string, name string) {
	_, err := NewS3Client(t, region).HeadBucket(context.Background(), &s3.HeadBucketInput{Bucket: sdk.String(name)})
	if err != nil {
		t.Fatal(err)
	}
}

// GetS3BucketVersioning returns Enabled, Suspended, or nothing.
func GetS3BucketVersioning(t testing.TB, region string, name string) string {
	input := &s3.GetBucketVersioningInput{Bucket: sdk.String(name)}
	out, err := NewS3Client(t, region).GetBucketVersioning(context.Background(), input)
	if err != nil {
		t.Fatal(err)
	}
	return string(out.Status)
}

// AssertS3BucketVersioningExists fails the test where the bucket keeps no versions.
func AssertS3BucketVersioningExists(t testing.TB, region string, name string) {
	if status := GetS3BucketVersioning(t, region, name); status != "Enabled" {
		t.Fatalf("versioning status for bucket %s: %q, not Enabled", name, status)
	}
}

// GetS3BucketTags returns a bucket's tags.
func GetS3BucketTags(t testing.TB, region string, name string) map[string]string {
	input := &s3.GetBucketTaggingInput{Bucket: sdk.String(name)}
	out, err := NewS3Client(t, region).GetBucketTagging(context.Background(), input)
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]string{}
	for _, tag := range out.TagSet {
		tags[sdk.ToString(tag.Key)] = sdk.ToString(tag.Value)
	}
	return tags
}

//! What Tidegate says to AWS: event sources, and copies of checkpoints in S3.

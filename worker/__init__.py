"""Around a job: what the worker takes on, what a dispatch says, who the user is, how it ends."""

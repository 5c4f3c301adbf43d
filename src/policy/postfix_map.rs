//! Rules in the syntax of Postfix's `smtp_tls_policy_maps` text files.

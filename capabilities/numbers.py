"""Every timeout, limit and interval of the product, in one typed place, units in the names.

The defaults are the reference's where it has one. Each can be overridden by an environment variable
`DMS_<NAME IN CAPITALS>`; a value that does not parse stops the start with the variable's name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Typed settings; see the module's docstring."""

    # Envelopes and the door.
    envelope_expiry_s: float = 30.0
    envelope_max_ahead_s: float = 600.0
    envelope_max_bytes: int = 1_048_576
    consumed_tokens_max_bytes: int = 16_384
    token_chain_max_links: int = 32
    context_file_max_bytes: int = 4_194_304
    saved_contexts_kept: int = 5
    token_max_paths: int = 128
    # What Ethereum keys have signed in one chain: their hash is computed in Python, over what a stranger sends.
    token_wallet_max_bytes: int = 4_096
    # Hardware wallets: what their program may take, and how long a person may look at the device.
    ledger_key_timeout_s: float = 30.0
    ledger_sign_timeout_s: float = 120.0
    ledger_envelope_expiry_s: float = 300.0
    ledger_output_max_bytes: int = 16_384
    ledger_aliases_max_bytes: int = 65_536
    mailbox_depth: int = 100
    mailbox_workers: int = 8
    public_limit_allow: int = 4096
    public_limit_acquire: int = 4112
    broadcast_limit_allow: int = 1024
    broadcast_limit_acquire: int = 1040
    topic_default_limit: int = 128
    nonce_purge_s: float = 60.0
    node_row_kept_s: float = 1.0
    ready_check_timeout_s: float = 2.0
    # A clock set back must not make an envelope valid again whose nonce has just been forgotten.
    nonce_kept_after_s: float = 600.0
    audit_request_max_bytes: int = 16_384
    audit_changes_max_bytes: int = 16_384
    audit_changes_max_rows: int = 50
    request_max_bytes: int = 1_048_576

    # Other sites.
    peer_connect_timeout_s: float = 3.0
    peer_answer_max_bytes: int = 1_048_576
    peer_tries_max: int = 3
    peer_try_pause_s: float = 0.25
    peer_hello_s: float = 60.0
    peer_hello_timeout_s: float = 3.0
    peer_hellos_at_once: int = 8
    peers_max: int = 10_000
    peer_addresses_max: int = 16
    # Refused messages from one address: that many at once, and then that many a second.
    refusals_burst: int = 1_000
    refusals_per_s: float = 20.0
    clock_off_s: float = 10.0  # a difference of two clocks that is said
    address_record_lifetime_s: float = 30 * 86_400.0
    outgoing_look_s: float = 5.0
    outgoing_backoff_s: float = 1.0
    outgoing_backoff_max_s: float = 300.0
    outgoing_at_once: int = 100
    outgoing_kept_s: float = 30 * 86_400.0
    revocations_at_once: int = 500
    invitation_lifetime_s: float = 7 * 86_400.0
    membership_lifetime_s: float = 365 * 86_400.0

    # Ensembles.
    ensemble_max_bytes: int = 1_048_576
    ensemble_max_depth: int = 32
    ensemble_max_aliases: int = 20_000
    ensemble_max_nodes: int = 500_000
    ensemble_max_allocations: int = 10_000

    # Ports.
    port_range_from: int = 16_384
    port_range_to: int = 65_535

    # Onboarding.
    onboard_min_cores: int = 1
    onboard_min_share_percent: int = 10
    onboard_max_share_percent: int = 90
    onboard_min_disk_bytes: int = 1 << 30

    # Benchmark.
    benchmark_budget_s: float = 12.0
    benchmark_sweep_s: float = 60.0
    benchmark_lost_s: float = 120.0
    benchmarks_kept: int = 20

    # Deployments.
    deployment_min_time_s: float = 0.0
    deployment_deadline_s: float = 600.0
    deployment_deadline_max_s: float = 86_400.0
    queue_wait_s: float = 86_400.0
    queue_wait_max_s: float = 7 * 86_400.0
    queue_max: int = 1_000
    queue_scan_max: int = 200  # how far down the queue a turn looks for what may go before others
    queue_told_max: int = 50  # whose page and reason are kept fresh while they wait
    commit_lifetime_s: float = 300.0
    step_lease_s: float = 60.0
    allocation_start_timeout_s: float = 300.0
    allocation_stop_grace_s: float = 10.0
    deployment_attempts_max: int = 3
    starts_at_once: int = 32
    ends_at_once: int = 16
    sweep_pending_s: float = 5.0
    sweep_idle_s: float = 60.0

    # Restarts of an allocation that does not say otherwise: at most so many within the time, with a growing pause.
    allocation_restarts_max: int = 5
    allocation_restarts_within_s: float = 600.0
    allocation_backoff_s: float = 1.0
    allocation_backoff_max_s: float = 60.0

    # Health checks that do not say otherwise.
    health_interval_s: float = 30.0
    health_timeout_s: float = 5.0
    health_retries: int = 3
    health_interval_min_s: float = 0.5
    health_timeout_max_s: float = 60.0
    health_starting_s: float = 1.0  # between two questions to what has not been healthy yet
    health_answer_max_bytes: int = 65_536
    health_checks_at_once: int = 64
    health_checks_of_owner_at_once: int = (
        24  # so that one owner's hanging checks do not keep the others waiting
    )
    health_rows_s: float = 1.0
    health_address_kept_s: float = 5.0
    # How old what is written of an unchanged answer may get.
    health_noted_s: float = 60.0
    health_noted_bad_s: float = 10.0

    # Executors.
    docker_timeout_s: float = 60.0
    docker_pull_timeout_s: float = 1_800.0
    docker_progress_s: float = 5.0
    docker_pull_retry_s: float = 30.0
    docker_probe_timeout_s: float = 5.0
    docker_availability_s: float = 5.0
    docker_connections_max: int = 64
    docker_restart_s: float = 15.0  # an engine that was killed ends what it finds while it starts
    docker_stop_s: float = 30.0  # from an engine's asking its containers to end until the next engine begins
    docker_reboot_s: float = 600.0  # the same where the machine was restarted in between
    docker_reconnect_max_s: float = 10.0
    container_pids_max: int = 4096
    sandbox_pids_max: int = 256
    sandbox_check_s: float = 2.0
    sandbox_refused_forks_max: int = 1_000  # between two checks: more is a fork bomb, and is killed
    sandbox_probe_s: float = 60.0
    sandbox_timeout_s: float = 10.0
    sandbox_watch_s: float = 0.5
    log_max_bytes: int = 64 * (1 << 20)
    # Kept logs: how long, how many attempts of one allocation, and how much on a node; the oldest go first.
    log_kept_s: float = 30 * 86_400.0
    log_attempts_kept: int = 20
    log_kept_max_bytes: int = 4 * (1 << 30)
    log_sweep_s: float = 600.0
    # A follower that is that far behind skips to the end and says so.
    log_behind_max_s: float = 3.0
    log_behind_max_bytes: int = 8 * (1 << 20)
    log_follow_bytes_per_s: int = 8 * (1 << 20)
    log_follow_pause_s: float = 0.05
    log_search_max_s: float = 10.0
    log_search_matches_max: int = 10_000
    disk_check_s: float = 10.0
    executors_check_s: float = 30.0
    executor_outage_s: float = 120.0  # so long what is submitted waits for an engine that has just gone away
    stats_timeout_s: float = 3.0  # for one question to an engine; the next turn asks again
    stats_asked_at_once: int = 8
    foreign_check_s: float = 30.0
    foreign_containers_max: int = 200

    # Machine.
    usage_sample_s: float = 10.0
    cpu_sustained_s: float = 900.0
    commit_sweep_s: float = 60.0
    retention_sweep_s: float = 3_600.0
    usage_retention_s: float = 7 * 86_400.0
    allocation_sample_s: float = 10.0
    allocation_samples_raw_s: float = 86_400.0
    # What is older than that keeps one sample in this time.
    allocation_samples_step_s: int = 300
    allocation_samples_kept_s: float = 7 * 86_400.0
    stats_points_max: int = 2_000
    stats_rows_max: int = 50_000
    event_retention_s: float = 90 * 86_400.0

    # Retention: by age, and by count where somebody else decides how fast a table grows.
    node_events_max: int = 100_000
    deployment_kept_s: float = 90 * 86_400.0  # after its end; 0: until somebody deletes it
    deployment_events_max: int = 5_000
    deployment_rounds_max: int = 50
    attempts_max: int = 1_000
    exec_sessions_kept: int = 5_000
    grants_look_s: float = 3600.0
    audit_seal_s: float = 1.0
    audit_seal_entries: int = 500
    audit_seals_longer_s: float = 30 * 86_400.0
    audit_kept_s: float = 365 * 86_400.0
    audit_entries_max: int = 1_000_000
    expired_kept_s: float = 30 * 86_400.0  # tokens and links, after they have ended

    # Log lines that are sent somewhere: how many wait at most, how many go at once, how long a try may take.
    logger_look_s: float = 5.0  # between two looks at the settings
    logger_queue_max: int = 10_000
    logger_batch_max: int = 1_000
    logger_timeout_s: float = 10.0
    logger_backoff_max_s: float = 60.0

    # People and pages.
    login_link_lifetime_s: float = 600.0
    person_invitation_lifetime_s: float = 7 * 86_400.0
    person_invitation_lifetime_max_s: float = 30 * 86_400.0
    logins_per_minute_of_address: int = 30
    oidc_clock_leeway_s: float = 30.0  # between an identity provider's clock and ours
    login_kept_s: float = 14 * 86_400.0  # as Django's sessions
    role_grant_lifetime_s: float = 3650 * 86_400.0
    api_token_lifetime_s: float = 90 * 86_400.0
    api_token_lifetime_max_s: float = 366 * 86_400.0
    password_hashes_at_once: int = 4
    live_updates_per_s: float = 10.0
    live_publish_timeout_s: float = 2.0
    live_groups_max: int = 200
    log_followers_max: int = 64
    log_batch_s: float = 0.1

    # Terminals inside allocations.
    exec_ticket_lifetime_s: float = 30.0
    exec_sessions_max: int = 64
    exec_sessions_per_user_max: int = 16
    exec_idle_s: float = 3_600.0
    socket_recheck_s: float = (
        30.0  # whether who opened it is still let in; changes of an account tell it at once
    )
    exec_recheck_s: float = 5.0
    exec_lost_s: float = 60.0
    exec_window_bytes: int = 262_144  # input that may be on its way, not yet taken by the command
    exec_input_stall_s: float = 30.0
    exec_command_max_bytes: int = 65_536

    # The site's own processes.
    home_min_free_bytes: int = 200 * (1 << 20)
    ready_timeout_s: float = 90.0
    restart_backoff_s: float = 0.5
    restart_backoff_max_s: float = 30.0
    restart_healthy_s: float = 60.0
    restart_first_start_max: int = 3
    stop_grace_s: float = 7.0
    process_log_max_bytes: int = 16 * (1 << 20)
    redis_max_memory_bytes: int = 256 * (1 << 20)
    worker_threads: int = 16
    worker_alive_s: float = 5.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings with the overrides that `environ` holds; ValueError names a bad variable."""
        values: dict[str, float | int] = {}
        for field in fields(cls):
            name = f"DMS_{field.name.upper()}"
            text = environ.get(name)
            if text is None:
                continue
            try:
                values[field.name] = int(text) if field.type == "int" else float(text)
            except ValueError:
                raise ValueError(f"{name}={text!r} is not a number; unset it or give a number") from None
        return cls(**values)  # type: ignore[arg-type]


NUMBERS = Numbers.from_environment(os.environ)

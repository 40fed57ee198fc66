"""Several deployments of one provider out of reach at once: the host is what is wrong."""

from proxy.policy.host_faults import WITHIN_S, HostFaults


def test_three_deployments_are_the_host() -> None:
    """The third deployment that cannot be reached within ten seconds tells of the host."""
    faults = HostFaults()
    assert [faults.note_fault(each, 5.0) for each in ("p/a", "p/b", "p/c")] == [False, False, True]


def test_one_deployment_is_not_the_host() -> None:
    """However often a single deployment fails, nothing is said of its host."""
    faults = HostFaults()
    assert not any(faults.note_fault("p/a", second / 10) for second in range(50))


def test_old_faults_do_not_count() -> None:
    """What failed more than ten seconds ago is not counted; what is just ten seconds old is."""
    faults = HostFaults()
    faults.note_fault("p/a", 0.0)
    faults.note_fault("p/b", 1.0)
    assert not faults.note_fault("p/c", WITHIN_S + 0.5)
    assert faults.note_fault("p/d", WITHIN_S + 1.0)


def test_a_sign_of_life_forgets_all() -> None:
    """After an answer from the host counting begins anew."""
    faults = HostFaults()
    faults.note_fault("p/a", 0.0)
    faults.note_fault("p/b", 0.0)
    faults.note_life()
    assert not faults.note_fault("p/c", 0.0)


def test_it_tells_once() -> None:
    """When the host has been found at fault, it takes three deployments again to say so."""
    faults = HostFaults()
    for each in ("p/a", "p/b", "p/c"):
        faults.note_fault(each, 0.0)
    assert not faults.note_fault("p/d", 0.0)

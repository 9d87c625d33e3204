from prometheus_client import CollectorRegistry, generate_latest

from streamwatch.metrics import ScoreMetrics, StageCollector, WatchMetrics


def test_families_of_several_stages_are_served_as_one() -> None:
    first, second, watch = ScoreMetrics(), ScoreMetrics(), WatchMetrics()
    first.posts.inc(3)
    second.posts.inc(4)
    watch.alerts.labels(status="firing").inc()
    registry = CollectorRegistry()
    families = {"SCORE-0": first.families(), "SCORE-1": second.families(), "WATCH": watch.families()}
    registry.register(StageCollector(families))
    text = generate_latest(registry).decode()
    assert text.count("# TYPE streamwatch_score_posts_total counter") == 1
    assert 'streamwatch_score_posts_total{stage="SCORE-0"} 3.0' in text
    assert 'streamwatch_score_posts_total{stage="SCORE-1"} 4.0' in text
    assert 'streamwatch_watch_alerts_total{stage="WATCH",status="firing"} 1.0' in text

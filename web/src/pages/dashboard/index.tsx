// How the work goes: the effort falling, what is left of it, what the context saves; live.

import { useCallback } from "preact/hooks";
import { api, type Schemas, told } from "../../api/client";
import { Shown, useRead } from "../../parts/loaded";
import { Card, Empty, Table } from "../../parts/look";
import { texts } from "../../texts";
import { bounds, duration, number, percent } from "../format";
import { LabelChoice, useLabel } from "../label-choice";
import { useLive } from "../live";
import { readMetrics, useProject } from "../project";
import { Plot } from "./plot";
import { byDay, curveSeries, effortSeries } from "./series";

const t = texts.dashboard;

type Metrics = Schemas["ProjectMetrics"];
type OfLabel = Schemas["LabelMetrics"];

function Figure({ name, value, hint }: { name: string; value: string; hint?: string }) {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd>
        <strong>{value}</strong>
        {hint && <small class="quiet">{hint}</small>}
      </dd>
    </div>
  );
}

function Figures({ of }: { of: OfLabel }) {
  const { work, projection, savings } = of;
  return (
    <dl class="figures">
      <Figure name={t.rate} value={number(work.interactions_per_image)} hint={t.accepted(work.accepted)} />
      <Figure
        name={t.left}
        value={number(projection.interactions?.value, 0)}
        hint={t.between(bounds(projection.interactions), projection.images)}
      />
      <Figure
        name={t.hours}
        value={projection.hours ? duration(3600 * projection.hours.value) : texts.nothing}
        hint={t.interval(bounds(projection.hours, (hours) => duration(3600 * hours)))}
      />
      <Figure
        name={t.saved}
        value={savings.share ? percent(savings.share.value) : texts.nothing}
        hint={t.control(savings.control_images)}
      />
      <Figure name={t.untouched} value={percent(work.untouched_share)} hint={t.ofAccepted(work.untouched)} />
      <Figure
        name={t.active}
        value={duration(work.active_seconds_per_image)}
        hint={t.inAll(duration(work.active_seconds))}
      />
    </dl>
  );
}

function Annotators({ metrics }: { metrics: Metrics }) {
  return (
    <Card title={t.annotators}>
      {metrics.annotators.length ? (
        <Table
          label={t.annotators}
          head={[t.name, t.acceptedImages, t.rate, t.active, t.untouched, t.returned, t.agreement]}
        >
          {metrics.annotators.map(({ user_id, name, work }) => (
            <tr key={user_id}>
              <td>{name}</td>
              <td>{number(work.accepted)}</td>
              <td>{number(work.interactions_per_image)}</td>
              <td>{duration(work.active_seconds_per_image)}</td>
              <td>{percent(work.untouched_share)}</td>
              <td>{percent(work.return_share)}</td>
              <td>{number(work.agreement_dice, 2)}</td>
            </tr>
          ))}
        </Table>
      ) : (
        <Empty title={t.noAnnotators} />
      )}
    </Card>
  );
}

function Queues({ metrics }: { metrics: Metrics }) {
  return (
    <Card title={t.queues}>
      <Table
        label={t.queues}
        head={[
          texts.label,
          t.states.open,
          t.states.submitted,
          t.states.returned,
          t.states.accepted,
          t.states.skipped,
        ]}
      >
        {metrics.labels.map(({ label_id, label, states }) => (
          <tr key={label_id}>
            <td>{label}</td>
            {(["open", "submitted", "returned", "accepted", "skipped"] as const).map((state) => (
              <td key={state}>{number(states[state] ?? 0)}</td>
            ))}
          </tr>
        ))}
      </Table>
    </Card>
  );
}

/** The plots of one label; another one begins anew, so that no curve goes by its name before it is read. */
function Plots({ labelId, of }: { labelId: number; of: OfLabel }) {
  const params = { path: { label_id: labelId } };
  const points = useRead(() => told(api.GET("/api/labels/{label_id}/metrics/curve", { params })), [of]);
  return (
    <Shown of={points}>
      {(found) =>
        found.length ? (
          <>
            <Plot
              title={t.curve}
              summary={t.curveSummary(found.length, number(found.at(-1)?.running_mean))}
              file={`interactions-per-image-${of.label}`}
              y={t.interactions}
              right={t.contextSize}
              {...curveSeries(found)}
            />
            <Plot
              title={t.effort}
              summary={of.projection.sentence}
              file={`effort-${of.label}`}
              y={t.interactions}
              {...effortSeries(found, of.projection)}
            />
          </>
        ) : (
          <Card title={t.curve}>
            <Empty title={t.noCurve}>
              <p>{t.noCurveHint}</p>
            </Empty>
          </Card>
        )
      }
    </Shown>
  );
}

/** The page. */
export function Dashboard() {
  const { project } = useProject();
  const label = useLabel();
  const metrics = useRead(() => readMetrics(project.id), [project.id]);
  const { again } = metrics;
  useLive(
    project.id,
    useCallback(() => {
      again();
    }, [again]),
  );
  if (!label) return <Empty title={texts.overview.noLabels} />;
  return (
    <Shown of={metrics}>
      {(found) => {
        const of = found.labels.find((each) => each.label_id === label.id);
        return (
          <div class="stack">
            <div class="filters">
              <LabelChoice />
            </div>
            {of && <Figures of={of} />}
            {of && <p class="effort">{of.savings.sentence}</p>}
            {of && <Plots key={label.id} labelId={label.id} of={of} />}
            {found.days.length > 1 && (
              <Plot
                title={t.days}
                summary={t.daysSummary(found.days.length)}
                file="by-day"
                y={t.seconds}
                right={t.acceptedImages}
                {...byDay(found.days)}
              />
            )}
            <Annotators metrics={found} />
            <Queues metrics={found} />
          </div>
        );
      }}
    </Shown>
  );
}

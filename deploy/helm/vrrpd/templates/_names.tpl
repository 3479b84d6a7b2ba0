{{- define "vrrpd.labels" -}}
app.kubernetes.io/name: vrrpd
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "vrrpd.selector" -}}
app.kubernetes.io/name: vrrpd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vrrpd.name" -}}
{{ .Release.Name | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "vrrpd.configMap" -}}
{{ .Values.configMap | default (printf "%s-vips" (include "vrrpd.name" .)) }}
{{- end }}

{{- define "vrrpd.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "vrrpd.nodes" -}}
{{- $labels := list -}}
{{- range $key, $value := .Values.nodeSelector }}{{ $labels = append $labels (printf "%s=%s" $key $value) }}{{ end -}}
{{ join "," $labels }}
{{- end }}
